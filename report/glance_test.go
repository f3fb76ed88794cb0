package report

import (
	"fmt"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// ended is a deployment from 1.4.2 to 1.5.0 with one stage, as its traffic and
// the rest say.
func ended(o deploy.Outcome, share deploy.Percent, live, candidate Traffic, change func(*Environment)) Environment {
	e := Environment{
		Name: "production", Outcome: o, Started: time.Unix(1, 0), Strategy: deploy.Canary,
		Candidate: &Version{Version: "1.5.0"}, Previous: &Version{Version: "1.4.2"},
		Stages: []Stage{{Number: 1, Share: share, Observation: &Observation{Live: live, Candidate: candidate}}},
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestWhatUsersFelt(t *testing.T) {
	some := Traffic{Requests: 100}
	back := Seconds(0.084)
	for want, e := range map[string]Environment{
		"none was sent to 1.5.0":                        ended(deploy.Failed, 0, some, Traffic{}, nil),
		"no request reached 1.5.0 while it was watched": ended(deploy.Promoted, 100, some, Traffic{}, nil),
		"requests to 1.5.0 are not counted by production itself": ended(deploy.Held, 10, Traffic{}, Traffic{}, func(e *Environment) {
			e.Stages[0].Observation.Uncounted = true
		}),
		"none of 100 requests to 1.5.0 failed while it was watched":               ended(deploy.Promoted, 100, some, some, nil),
		"1 of 1 request to 1.5.0 failed while it was watched":                     ended(deploy.Promoted, 100, some, Traffic{Requests: 1, Errors: 1}, nil),
		"5 of 10 requests to 1.5.0 failed while it was watched (2 got no answer)": ended(deploy.Promoted, 100, some, Traffic{Requests: 10, Errors: 5, Lost: 2}, nil),
		"none of 10 requests to 1.5.0 failed while it was watched, and 3 of 90 requests to 1.4.2 failed meanwhile": ended(
			deploy.Promoted, 10, Traffic{Requests: 90, Errors: 3}, Traffic{Requests: 10}, nil),
		"2 of 10 requests to 1.5.0 failed while it was watched; all were back on 1.4.2 84ms after the decision": ended(
			deploy.Reverted, 10, some, Traffic{Requests: 10, Errors: 2}, func(e *Environment) { e.Revert = &Revert{TrafficBack: &back} }),
		"none of 100 requests to 1.5.0 failed while it was watched; nobody was served while one version stopped and the other started": ended(
			deploy.Promoted, 100, Traffic{}, some, func(e *Environment) { e.Strategy = deploy.Recreate }),
		"all were back on 1.4.2 84ms after the decision": ended(
			deploy.Reverted, 10, some, some, func(e *Environment) { e.Started, e.Stages, e.Revert = time.Time{}, nil, &Revert{TrafficBack: &back} }),
		"": {Name: "production", Outcome: deploy.Failed},
	} {
		if got := felt(&e); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if got := felt(nil); got != "" {
		t.Error(got)
	}
}

func TestWhatIsLive(t *testing.T) {
	noPlan := func(e *Environment) { e.Candidate, e.Previous, e.Started = nil, nil, time.Time{} }
	first := func(e *Environment) { e.Previous = nil }
	share := func(s deploy.Percent) func(*Environment) { return func(e *Environment) { e.Share = s } }
	for _, c := range []struct {
		want   string
		o      deploy.Outcome
		change func(*Environment)
	}{
		{"1.5.0 in production", deploy.Promoted, nil},
		{"the new version in production", deploy.Promoted, noPlan},
		{"the same version as before in production", deploy.Unchanged, nil},
		{"1.4.2 in production", deploy.Reverted, nil},
		{"1.4.2 in production", deploy.Failed, nil},
		{"nothing in production", deploy.Reverted, first},
		{"the same version as before in production", deploy.Failed, noPlan},
		{"1.4.2 in production, with 10% of the users on 1.5.0", deploy.Held, share(10)},
		{"1.4.2 in production", deploy.Held, nil},
		{"not certain in production: 1.4.2, 1.5.0 or both", deploy.Unknown, nil},
		{"not certain in production: nothing, 1.5.0 or both", deploy.Unknown, first},
		{"not certain in production", deploy.Unknown, noPlan},
		{"1.5.0 in production", "", share(100)},
		{"", "", noPlan},
		{"nothing in production", "", func(e *Environment) { noPlan(e); e.Removed = "over" }},
	} {
		e := ended(c.o, 0, Traffic{}, Traffic{}, c.change)
		if got := live(&Story{}, &e); got != c.want {
			t.Errorf("%s: %q, not %q", c.o, got, c.want)
		}
	}
}

// TestTheWorstEnvironmentIsTold: settle goes on after an environment that it
// had to take back, and counts as a success.
func TestTheWorstEnvironmentIsTold(t *testing.T) {
	back := ended(deploy.Reverted, 10, Traffic{}, Traffic{}, nil)
	forward := ended(deploy.Promoted, 100, Traffic{}, Traffic{}, func(e *Environment) { e.Name = "qa" })
	s := Story{Run: Run{App: "hello"}, Outcome: deploy.Promoted, Environments: []Environment{back, forward}}
	if got := headline(&s); got != "↩️ hello 1.5.0 was taken back: production runs 1.4.2 again" {
		t.Error(got)
	}
	if got := liveNow(&s); got != "1.4.2 in production; 1.5.0 in qa" {
		t.Error(got)
	}
}

func TestManyEnvironmentsAreListedInPart(t *testing.T) {
	s := Story{}
	for i := range 25 {
		s.Environments = append(s.Environments, Environment{Name: fmt.Sprint("e", i), Outcome: deploy.Failed})
	}
	got := liveNow(&s)
	if want := "the same version as before in e19; and 5 more"; len(got) < len(want) || got[len(got)-len(want):] != want {
		t.Error(got)
	}
}

// A recreate that was interrupted while it wrote down that it was about to stop
// the old version has stopped nothing.
func TestNobodyMissedWhatWasNotStopped(t *testing.T) {
	e := ended(deploy.Failed, 100, Traffic{}, Traffic{}, func(e *Environment) { e.Strategy = deploy.Recreate })
	if got, want := felt(&e), "none was sent to 1.5.0"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
