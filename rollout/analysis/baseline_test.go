package analysis

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Events have no occasions to count: how many of them are the candidate's is held
// against its part of the users of both sides, which are not all users where it is
// compared with a baseline.
func TestEventsBesideABaseline(t *testing.T) {
	for name, c := range map[string]struct {
		beside deploy.Percent
		want   Decision
	}{
		"as many as with an equal share":    {10, Continue},
		"as many as all others have at 90%": {0, Revert},
	} {
		t.Run(name, func(t *testing.T) {
			j := &Sequential{}
			v := Verdict{}
			for i := range 20 {
				v = j.Observe(Sample{
					At: time.Duration(i+1) * time.Second, Elapsed: time.Duration(i+1) * time.Second, Share: 10, LiveShare: c.beside,
					Others: []Measure{{Name: "restarts", Live: deploy.Traffic{Errors: 3}, Candidate: deploy.Traffic{Errors: 3}}},
				})
			}
			if v.Decision != c.want {
				t.Errorf("%s: %s, want %s", v.Decision, v.Why, c.want)
			}
		})
	}
}

// Verdicts call what is compared with by its name.
func TestVerdictsNameTheBaseline(t *testing.T) {
	le := []float64{0.1, 1}
	good := deploy.Traffic{Requests: 1000, Latency: deploy.Histogram{Le: le, Counts: []uint64{1000, 0, 0}}}
	failing, slow := good, good
	failing.Errors = 100
	slow.Latency = deploy.Histogram{Le: le, Counts: []uint64{500, 500, 0}}
	for name, candidate := range map[string]deploy.Traffic{"errors": failing, "latency": slow} {
		j := &Sequential{Against: "the baseline"}
		v := Verdict{}
		for i := range 5 {
			v = j.Observe(Sample{At: time.Duration(i+1) * time.Second, Elapsed: time.Duration(i+1) * time.Second, Share: 50, LiveShare: 50, Live: good, Candidate: candidate})
		}
		if v.Decision != Revert || !strings.Contains(v.Why, " on the baseline, after ") {
			t.Errorf("%s: %s: %s", name, v.Decision, v.Why)
		}
	}
	l := &ResourceLimit{Gauge: "cpu", Ratio: 1.5, Against: "the baseline"}
	if v := l.Observe(Sample{At: time.Second, Share: 10, Gauges: []Gauge{{Name: "cpu", Live: 1, Candidate: 1}}}); v.Why != "cpu 1 against 1 on the baseline" {
		t.Errorf("%s: %s", v.Decision, v.Why)
	}
}
