package analysis

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// second is one of a stage: requests and errors of both versions.
func second(at int, share deploy.Percent, live, liveErrors, candidate, errors uint64) Sample {
	return Sample{
		At: time.Duration(at) * time.Second, Share: share,
		Live:      deploy.Traffic{Requests: live, Errors: liveErrors},
		Candidate: deploy.Traffic{Requests: candidate, Errors: errors},
	}
}

// A metric that counts requests is held against what it has counted of the live
// version, once nothing runs beside the candidate; what it never counted is not.
func TestRolloutIsJudgedByOtherMetricsAlone(t *testing.T) {
	beside := second(1, 50, 5000, 5, 5000, 5)
	beside.Others = []Measure{{Name: "checkout", Live: deploy.Traffic{Requests: 5000, Errors: 5}, Candidate: deploy.Traffic{Requests: 5000, Errors: 5}}}
	alone := func(name string, failed uint64) Sample {
		return Sample{
			At: 2 * time.Second, Share: 100, Part: PartMetrics,
			Others: []Measure{{Name: name, Candidate: deploy.Traffic{Requests: 1000, Errors: failed}}},
		}
	}
	for name, c := range map[string]struct {
		past   map[string]deploy.Traffic
		sample Sample
		want   Decision
		why    string
	}{
		"worse":                        {nil, alone("checkout", 100), Revert, "checkout errors 10% against 0.1% on the version before"},
		"as before":                    {nil, alone("checkout", 1), Continue, ""},
		"never counted before":         {nil, alone("search", 100), Continue, ""},
		"recorded by somebody else":    {map[string]deploy.Traffic{"search": {Requests: 5000}}, alone("search", 100), Revert, "search errors 10% against 0%"},
		"as bad as somebody else says": {map[string]deploy.Traffic{"search": {Requests: 5000, Errors: 500}}, alone("search", 100), Continue, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Rollout{Beside: &Sequential{Dwell: -1}, Limit: deploy.NoLimit, Past: c.past}
			if v := r.Observe(beside); v.Decision == Revert {
				t.Fatal(v.Why)
			}
			v := r.Observe(c.sample)
			if v.Decision != c.want || !strings.Contains(v.Why, c.why) {
				t.Errorf("%s: %s; want %s: …%s…", v.Decision, v.Why, c.want, c.why)
			}
			if c.want == Revert && !strings.HasPrefix(v.Why, v.Metric) {
				t.Errorf("it is by %s", v.Metric)
			}
		})
	}
}

func TestRolloutIsJudgedBesideAndAlone(t *testing.T) {
	history := deploy.Traffic{Requests: 100_000, Errors: 100}
	for name, c := range map[string]struct {
		history deploy.Traffic
		limit   deploy.Percent
		samples []Sample
		want    Decision
		why     string
	}{
		"beside, it is compared": {
			history, deploy.NoLimit, []Sample{second(1, 50, 100, 0, 100, 20)}, Revert, "errors 20% against 0% on the live version",
		},
		"beside, both are bad alike": {
			history, deploy.NoLimit, []Sample{second(1, 50, 100, 50, 100, 50)}, Continue, "not known yet: errors 50% against 50% on the live version",
		},
		"alone, it is held against the past": {
			history, deploy.NoLimit, []Sample{second(1, 100, 0, 0, 1000, 100)}, Revert, "errors 10% against 0.1% on the version before",
		},
		"alone, a past that was bad excuses": {
			deploy.Traffic{Requests: 100_000, Errors: 10_000}, deploy.NoLimit, []Sample{second(1, 100, 0, 0, 1000, 100)}, Continue, "errors 10% against 10% on the version before",
		},
		"alone, what was seen beside is the past": {
			deploy.Traffic{}, deploy.NoLimit, []Sample{second(1, 50, 9000, 0, 9000, 0), second(2, 100, 0, 0, 1000, 100)}, Revert, "errors 10% against 0% on the version before",
		},
		"alone, without a past there is a limit": {
			deploy.Traffic{}, deploy.NoLimit, []Sample{second(1, 100, 0, 0, 1000, 100)}, Revert, "10.0% of 1000 requests failed on the new version (100), the limit is 1%",
		},
		"a limit that is written out": {
			history, 1, []Sample{second(1, 50, 100, 50, 100, 50)}, Revert, "the limit is 1%",
		},
		"a limit that nearly is reached holds": {
			history, 1, []Sample{second(1, 50, 1000, 15, 1000, 18)}, Hold, "the limit is 1%",
		},
		"after a revert it stays one": {
			history, deploy.NoLimit, []Sample{second(1, 50, 100, 0, 100, 20), second(2, 50, 1e6, 0, 1e6, 0)}, Revert, "errors 20%",
		},
		"without users there is nothing to say": {
			history, deploy.NoLimit, []Sample{second(1, 0, 100, 0, 0, 0)}, Advance, "no users are sent",
		},
		"users that do not come are not known": {
			history, deploy.NoLimit, []Sample{second(1, 10, 0, 0, 0, 0)}, Continue, "not known yet: nothing to compare the errors of both versions by",
		},
		"nor are they alone": {
			history, deploy.NoLimit, []Sample{second(1, 100, 0, 0, 0, 0)}, Continue, "no user request has reached the new version",
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := &Rollout{Beside: &Sequential{Steps: []deploy.Percent{50, 100}}, History: c.history, Limit: c.limit}
			var v Verdict
			for _, s := range c.samples {
				v = j.Observe(s)
			}
			if v.Decision != c.want || !strings.Contains(v.Why, c.why) {
				t.Errorf("%s: %s; want %s: …%s…", v.Decision, v.Why, c.want, c.why)
			}
		})
	}
}
