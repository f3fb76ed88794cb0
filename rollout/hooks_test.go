package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/slipway-ci/slipway/deploy"
)

// hooking is a fake whose revisions bring one-off work of their own.
type hooking struct {
	*fake
	err error
}

var _ deploy.Hooked = hooking{}

func (h hooking) Hooks(_ context.Context, _ deploy.Revision, o deploy.Occasion) (deploy.Tasks, error) {
	one := func(event string) []deploy.Task {
		made := task(event)
		made.Hook = event
		return []deploy.Task{made}
	}
	return deploy.Tasks{Before: one("pre-" + string(o)), After: one("post-" + string(o))}, h.err
}

// What a revision brings is done before and after, around what slipway.yaml asks
// for, and for what the deployment is to the environment.
func TestHooksAreDoneForTheirOccasion(t *testing.T) {
	for occasion, c := range map[string]struct {
		on   func() *fake
		past bool
	}{
		"install": {newFake, false}, "upgrade": {serving, false}, "rollback": {serving, true},
	} {
		t.Run(occasion, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := c.on()
				d := migrating(f, deploy.BlueGreen)
				d.Target, d.Past = hooking{fake: f}, c.past
				plan, _, err := Preview(t.Context(), d)
				if err != nil || len(plan.Tasks.Before) != 3 || !strings.Contains(DescribeTask(deploy.TaskBefore, plan.Tasks.Before[0]), "the chart's hook pre-"+occasion) {
					t.Errorf("planned: %+v (%v)", plan.Tasks, err)
				}
				if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted || !r.Well() {
					t.Fatalf("outcome %s: %s", r.Outcome, r.Reason)
				}
				acts := switched
				if occasion == "install" {
					acts = switched[:2]
				}
				moved(t, f, []string{"run pre-" + occasion + " of 1.1.0"}, before, acts, []string{"run post-" + occasion + " of 1.1.0"}, after)
			})
		})
	}
}

// A run that is killed in a hook is taken up by the next one, also where there is no
// task besides.
func TestAHookThatIsAtWorkIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		d := deployment(f, deploy.BlueGreen)
		d.Target = hooking{fake: f}
		f.state.Record = deploy.Record{Version: f.state.Record.Version, Phase: deploy.PhasePreparing, Candidate: newOne, Previous: oldOne, Operation: "release"}
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted {
			t.Fatalf("outcome %s: %s", r.Outcome, r.Reason)
		}
		moved(t, f, []string{"run pre-upgrade of 1.1.0"}, switched, []string{"run post-upgrade of 1.1.0"})
	})
}

func TestHooksThatCannotBeReadEndTheDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		d := deployment(f, deploy.BlueGreen)
		d.Target = hooking{fake: f, err: errors.New("they are gone")}
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Failed || !strings.Contains(r.Reason, "they are gone") {
			t.Errorf("outcome %s: %s", r.Outcome, r.Reason)
		}
		moved(t, f)
	})
}
