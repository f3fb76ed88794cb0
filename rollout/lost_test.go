package rollout

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// deaf writes the journal, but at the nth write the run is cancelled before it
// hears so.
type deaf struct {
	*fake
	after  int
	cancel context.CancelCauseFunc
}

func (d *deaf) Write(ctx context.Context, r deploy.Record) error {
	if err := d.fake.Write(ctx, r); err != nil {
		return err
	}
	if d.after--; d.after != -1 {
		return nil
	}
	d.cancel(errors.New("SIGTERM"))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second): // what must be written is awaited
		return nil
	}
}

// A cancel that cuts off the answer to a write leaves no doubt: the run knows
// its own record again, and ends with users on one whole version.
func TestCancelWithinEveryWrite(t *testing.T) {
	for kind := range strategies {
		for n := range 14 {
			t.Run(fmt.Sprintf("%s/%d", kind, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { cancelWithin(t, serving(), kind, n, oldOne) })
			})
		}
	}
	for n := range 8 {
		t.Run(fmt.Sprintf("first/%d", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cancelWithin(t, newFake(), deploy.BlueGreen, n, deploy.Revision{}) })
		})
	}
}

func cancelWithin(t *testing.T, f *fake, kind deploy.Kind, n int, before deploy.Revision) {
	t.Helper()
	cancelDeployment(t, f, deployment(f, kind), n, before)
}

func cancelDeployment(t *testing.T, f *fake, d Deployment, n int, before deploy.Revision) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	d.Target = &deaf{fake: f, after: n, cancel: cancel}
	r := (&Engine{Poll: time.Second}).Deploy(ctx, d)
	switch {
	case !r.Until.IsZero():
		bothUp(t, f)
	case r.Outcome == deploy.Promoted:
		wholeAndFree(t, f, newOne)
	case r.Outcome != deploy.Reverted && r.Outcome != deploy.Failed:
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	case before.IsZero():
		if len(f.state.Running) > 0 || f.state.Record.Unfinished() {
			t.Errorf("%s: %+v still runs, the journal is in phase %q", r.Outcome, f.state.Running, f.state.Record.Phase)
		}
	default:
		wholeAndFree(t, f, before)
	}
}
