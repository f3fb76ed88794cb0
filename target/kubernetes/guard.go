package kubernetes

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
)

// The last group of pods that serves is never switched off: users are moved to
// nothing that cannot serve, and a revision is not retired while nothing else can.
// What can is told by the endpoints of a revision's own Service. Stop itself does
// as it is told: recreate ends what is live on purpose, and so does whoever
// removes an environment.

// manned refuses users for a revision of which no pod is ready.
func (t *Target) manned(ctx context.Context, id string) error {
	n, err := t.serves(ctx, id)
	if err != nil || n > 0 {
		return err
	}
	d, err := t.deployment(ctx, id)
	switch {
	case err != nil:
		return err
	case d == nil:
		return errNotStarted
	}
	return deploy.Hinted(fmt.Errorf("no replica of %s is ready, so that its users would be served by nobody", t.place.Name(id)),
		"they stay where they are; look at its pods: kubectl describe pods -n %s -l %s", t.place.Namespace, t.place.SelectPods(id))
}

// returnable refuses to take users from a candidate that serves while nothing of
// the live revision can.
func (t *Target) returnable(ctx context.Context, candidate string) error {
	f, err := t.front.read(ctx)
	if err != nil || f.Live == "" || f.Candidate != candidate || f.Share == 0 {
		return err
	}
	n, err := t.serves(ctx, candidate)
	if err != nil || n == 0 {
		return err
	}
	return t.manned(ctx, f.Live)
}

// Retire is Stop, unless nobody would be left to serve.
func (t *Target) Retire(ctx context.Context, r deploy.Revision) error {
	err := t.retire(ctx, r)
	return t.ended(ctx, err, "stop %s at %s", r, t)
}

func (t *Target) retire(ctx context.Context, r deploy.Revision) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f, err := t.front.read(ctx)
	if err != nil {
		return err
	}
	if f.Live == r.ID || f.Candidate == r.ID && f.Share > 0 {
		return deploy.Hinted(fmt.Errorf("users are sent to %s", r), "somebody has moved them meanwhile; slipway status says where they are")
	}
	n, err := t.serves(ctx, r.ID)
	if err != nil {
		return err
	}
	if n > 0 && f.Live != "" {
		if err := t.manned(ctx, f.Live); err != nil {
			return fmt.Errorf("it is the last that could serve: %w", err)
		}
	}
	return t.stop(ctx, r)
}
