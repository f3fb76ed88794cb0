package report

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
)

// enough is how many requests a token should have left when a run begins: that
// of a release to two environments takes 30 at most, and others use it, too.
const enough = 60

// Headroom looks once, while a run begins, at how many requests to GitHub its
// token has left, and tells when they are few. The run does not wait for it.
type Headroom struct{ github *forge.Client }

var _ Slow = (*Headroom)(nil)

// NewHeadroom makes a Headroom.
func NewHeadroom(g *forge.Client) *Headroom { return &Headroom{github: g} }

// String names it.
func (h *Headroom) String() string { return "GitHub's rate limit" }

// Slow marks it.
func (h *Headroom) Slow() {}

// Report looks when the run begins. A limit that cannot be read is nobody's
// trouble: those that need GitHub say what is wrong with it.
func (h *Headroom) Report(ctx context.Context, e deploy.Event) error {
	if e.Kind != deploy.RunStarted || e.Run != nil && e.Run.Operation == settling {
		return nil
	}
	remaining, reset, err := h.github.HeadRoom(ctx)
	if err != nil || remaining >= enough {
		return nil
	}
	return &remark{
		kind: deploy.Warning,
		text: fmt.Sprintf("this token has %d requests to GitHub left until %s: what is reported there may stop in the middle",
			remaining, reset.UTC().Format("15:04 UTC")),
		hint: "deployments go on without; where it happens often, let other workflows ask GitHub less, or use the token of an app",
	}
}

// Flush has nothing left to do.
func (h *Headroom) Flush(context.Context) error { return nil }
