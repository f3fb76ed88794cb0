package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Permit is what the forge says about deploying to an environment.
type Permit struct {
	// Rules are those that protect it there, in words.
	Rules []string
	// Refused says which of them this run does not meet; nil where it may go on.
	Refused error
}

// permitLimit bounds the wait for the forge: all environments are asked about
// at once.
const permitLimit = 20 * time.Second

// askPermits tells what protects the environments at the forge, and refuses
// those that this run may not deploy to. A plan is of a run to come, and only
// tells. What the forge does not tell is a warning: its own gates are before
// the job, and hold in any case.
func (w *Work) askPermits(ctx context.Context) error {
	if w.Permit == nil {
		return nil
	}
	permits, unknown := w.permits(ctx)
	var refused error
	for i, env := range w.Environments {
		p := permits[i]
		if unknown[i] != nil {
			w.warn(ctx, env.Name, "whether this run may deploy to it is not known", unknown[i])
		}
		if len(p.Rules) > 0 {
			w.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: env.Name, Message: "protected: " + strings.Join(p.Rules, "; ")})
		}
		if !w.DryRun {
			refused = also(refused, p.Refused)
		}
	}
	return refused
}

// permits are those of the environments, in their order, with what is not known
// of each.
func (w *Work) permits(ctx context.Context) ([]Permit, []error) {
	ctx, cancel := context.WithTimeout(ctx, permitLimit)
	defer cancel()
	permits, unknown := make([]Permit, len(w.Environments)), make([]error, len(w.Environments))
	var group errgroup.Group
	group.SetLimit(4)
	for i, env := range w.Environments {
		group.Go(func() error {
			permits[i], unknown[i] = w.Permit(ctx, env.Name)
			if unknown[i] != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				unknown[i] = fmt.Errorf("timed out after %s waiting for the rules of %s", permitLimit, env.Name)
			}
			return nil
		})
	}
	_ = group.Wait() // each has its own
	return permits, unknown
}

// also puts two errors into one sentence; either may be nil.
func also(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}
