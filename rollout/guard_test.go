package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// While the second replica takes its time to start, the first one, which has users,
// gets sick: they do not wait for the end of the start.
func TestRollingWatchesWhoServesWhileABatchStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		slow := func(sick int) func(context.Context) error {
			return func(ctx context.Context) error {
				f.mu.Lock()
				f.down[newOne.ID] = sick
				f.mu.Unlock()
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(50 * time.Second):
					return nil
				}
			}
		}
		f.trouble["roll 1.1.0 2/2/1"] = slow(1)
		d := deployment(f, deploy.Rolling)
		d.Candidate.Config.StartTimeout = time.Minute
		r := (&Engine{}).Deploy(t.Context(), d)
		if r.Outcome != deploy.Reverted || !strings.Contains(r.Reason, "1 of 1 replicas of 1.1.0") || r.Took > 30*time.Second {
			t.Errorf("%s after %s: %s", r.Outcome, r.Took, r.Reason)
		}

		f = serving()
		f.trouble["roll 1.1.0 2/2/1"] = slow(0)
		if r := (&Engine{}).Deploy(t.Context(), Deployment{
			Target: f, Candidate: d.Candidate, Strategy: d.Strategy, Owner: me, Operation: "release",
		}); r.Outcome != deploy.Promoted || r.Took < 50*time.Second {
			t.Errorf("a start that takes its time: %s after %s: %s", r.Outcome, r.Took, r.Reason)
		}
	})
}

// An act is named once, whether or not the target names it, too.
func TestAnActIsNamedOnce(t *testing.T) {
	act := func(says string) error {
		return within(t.Context(), time.Minute, "start a at b", func(context.Context) error { return errors.New(says) })
	}
	for _, says := range []string{"no room", "start a at b: no room"} {
		if got := act(says).Error(); got != "start a at b: no room" {
			t.Errorf("%q became %q", says, got)
		}
	}
}
