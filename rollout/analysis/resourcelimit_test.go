package analysis

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// readings asks the limit about one reading every 15 seconds.
func readings(j *ResourceLimit, gauges ...Gauge) Verdict {
	var v Verdict
	for i, g := range gauges {
		s := Sample{At: time.Duration(i+1) * 15 * time.Second, Share: 5}
		if g.Name != "" {
			s.Gauges = []Gauge{{Name: "other", Live: 1, Candidate: 100}, g}
		}
		v = j.Observe(s)
	}
	return v
}

func cpu(live, candidate float64) Gauge { return Gauge{Name: "cpu", Live: live, Candidate: candidate} }

func repeated(n int, g Gauge) []Gauge {
	var all []Gauge
	for range n {
		all = append(all, g)
	}
	return all
}

func TestResourceLimit(t *testing.T) {
	nan := math.NaN()
	compared := ResourceLimit{Gauge: "cpu", Ratio: 1.5, Unit: "cores"}
	for name, c := range map[string]struct {
		limit  ResourceLimit
		gauges []Gauge
		want   Decision
		why    string
	}{
		"as much as before":        {compared, repeated(9, cpu(0.4, 0.5)), Advance, "cpu 0.5 cores against 0.4 cores on the live version"},
		"exactly at the limit":     {compared, repeated(9, cpu(1, 1.5)), Advance, ""},
		"above it once":            {compared, []Gauge{cpu(1, 1), cpu(1, 2)}, Hold, "reverts when this lasts for 1m0s"},
		"one spike":                {compared, append(repeated(9, cpu(1, 1)), cpu(1, 9), cpu(1, 1)), Advance, ""},
		"above it for 45 seconds":  {compared, repeated(4, cpu(1, 2)), Hold, ""},
		"above it for a minute":    {compared, repeated(5, cpu(1, 2)), Revert, "cpu 2 cores against 1 cores on the live version; the limit is 1.5 times as much, it was exceeded in 5 readings over 1m0s"},
		"below it in between":      {compared, append(repeated(4, cpu(1, 2)), cpu(1, 1.4), cpu(1, 2)), Hold, ""},
		"after a revert":           {compared, append(repeated(5, cpu(1, 2)), cpu(1, 1)), Revert, ""},
		"few readings":             {ResourceLimit{Gauge: "cpu", Ratio: 1.5, For: 10 * time.Second}, repeated(2, cpu(1, 2)), Hold, ""},
		"never measured":           {compared, repeated(3, Gauge{}), Continue, "not known yet"},
		"measured of one":          {compared, repeated(9, cpu(nan, 5)), Continue, "not known yet"},
		"infinite":                 {compared, repeated(9, cpu(1, math.Inf(1))), Continue, "not known yet"},
		"measured long ago":        {compared, append([]Gauge{cpu(1, 1)}, repeated(9, Gauge{})...), Continue, "was last measured 2m15s ago"},
		"next to nothing":          {ResourceLimit{Gauge: "cpu", Ratio: 1.5, Least: 0.1}, repeated(9, cpu(0.001, 0.09)), Advance, ""},
		"nothing on live":          {compared, repeated(5, cpu(0, 0.2)), Revert, ""},
		"an absolute limit":        {ResourceLimit{Gauge: "cpu", Limit: 2e9, Unit: "B"}, repeated(5, cpu(nan, 2.1e9)), Revert, "cpu 2100 MB on the new version; the limit is 2000 MB"},
		"below the absolute limit": {ResourceLimit{Gauge: "cpu", Limit: 3}, repeated(5, cpu(nan, 2.1)), Advance, ""},
		"warming up":               {ResourceLimit{Gauge: "cpu", Ratio: 1.5, WarmUp: 2 * time.Minute}, repeated(8, cpu(1, 3)), Continue, "in the first 2m0s"},
		"after warming up":         {ResourceLimit{Gauge: "cpu", Ratio: 1.5, WarmUp: time.Minute}, repeated(9, cpu(1, 3)), Revert, ""},
		"warm and back to normal":  {ResourceLimit{Gauge: "cpu", Ratio: 1.5, WarmUp: time.Minute}, append(repeated(4, cpu(1, 3)), repeated(5, cpu(1, 1))...), Advance, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := readings(&c.limit, c.gauges...)
			if v.Decision != c.want || !strings.Contains(v.Why, c.why) || v.Metric != "cpu" || v.Why == "" {
				t.Errorf("got %s of %q: %s", v.Decision, v.Metric, v.Why)
			}
		})
	}
}

func TestResourceLimitWithoutUsersPasses(t *testing.T) {
	j := &ResourceLimit{Gauge: "cpu", Ratio: 1.5}
	if v := j.Observe(Sample{At: time.Second}); v.Decision != Advance {
		t.Errorf("got %s: %s", v.Decision, v.Why)
	}
}

func TestResourceLimitIsValidated(t *testing.T) {
	for name, j := range map[string]*ResourceLimit{
		"no gauge":         {Ratio: 2},
		"limits nothing":   {Gauge: "cpu"},
		"a negative ratio": {Gauge: "cpu", Ratio: -1},
		"not a number":     {Gauge: "cpu", Limit: math.NaN()},
		"a negative time":  {Gauge: "cpu", Ratio: 1, For: -1},
	} {
		if err := j.Validate(); !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := (&ResourceLimit{Gauge: "cpu", Ratio: 1.5}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestThresholdsSeeTheLatestGauges(t *testing.T) {
	var seen []Gauge
	j := &Thresholds{Metric: "cpu", Interval: 20 * time.Second, InitialDelay: 20 * time.Second, Success: func(s Sample) (bool, error) {
		seen = s.Gauges
		return true, nil
	}}
	j.Observe(Sample{At: 5 * time.Second, Gauges: []Gauge{cpu(1, 1), {Name: "memory", Live: 3, Candidate: 4}}})
	j.Observe(Sample{At: 20 * time.Second, Gauges: []Gauge{cpu(2, 2)}})
	if len(seen) != 2 || seen[0] != cpu(2, 2) || seen[1].Candidate != 4 {
		t.Errorf("saw %v", seen)
	}
}
