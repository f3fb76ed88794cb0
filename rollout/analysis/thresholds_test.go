package analysis

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// script says what measurements come to: p(ass), f(ail), neither (i) or
// e(rror), and counts how many were made.
type script struct {
	phases string
	made   int
}

func (s *script) is(phase byte) Condition {
	return func(Sample) (bool, error) {
		now := s.phases[min(s.made/2, len(s.phases)-1)]
		s.made++
		if now == 'e' {
			s.made++ // the other condition is not asked
			return false, errors.New("no such series")
		}
		return now == phase, nil
	}
}

// What a sample does not tell of has not been measured by it.
func TestThresholdsMeasureWhatIsTold(t *testing.T) {
	for _, c := range []struct {
		measure string
		part    Part
		times   int
	}{{"", PartCounts, 6}, {"", PartMetrics, 0}, {"web", PartMetrics, 6}, {"web", PartCounts, 0}, {"web", PartWhole, 6}} {
		asked := 0
		j := &Thresholds{Metric: "m", Measure: c.measure, Interval: time.Second, Success: func(Sample) (bool, error) { asked++; return true, nil }}
		for i := range 6 {
			j.Observe(Sample{At: time.Duration(i+1) * time.Second, Share: 100, Part: c.part})
		}
		if asked != c.times {
			t.Errorf("%+v: measured %d times", c, asked)
		}
	}
}

func TestThresholdsCountAsArgoRolloutsDoes(t *testing.T) {
	two := 2
	tests := []struct {
		name    string
		rule    Thresholds
		phases  string
		seconds int
		want    Decision
		made    int
	}{
		{"one measurement without count and interval", Thresholds{}, "p", 100, Advance, 1},
		{"one failure is one too many", Thresholds{Count: 5, Interval: 10 * time.Second}, "pf", 100, Revert, 2},
		{"as many failures as the limit are borne", Thresholds{Count: 5, Interval: 10 * time.Second, FailureLimit: 2}, "fpfpp", 100, Advance, 5},
		{"more are not, also when they are not in a row", Thresholds{Count: 6, Interval: 10 * time.Second, FailureLimit: 2}, "fpfpf", 100, Revert, 5},
		{"one that is inconclusive holds", Thresholds{Count: 5, Interval: 10 * time.Second}, "pi", 100, Hold, 2},
		{"unless it may be", Thresholds{Count: 3, Interval: 10 * time.Second, InconclusiveLimit: 1}, "pip", 100, Advance, 3},
		{"failures go before what is inconclusive", Thresholds{Count: 9, Interval: 10 * time.Second, FailureLimit: 1, InconclusiveLimit: 2}, "fiif", 100, Revert, 4},
		{"four errors in a row are borne", Thresholds{Count: 2, Interval: 10 * time.Second}, "eeeepp", 100, Advance, 6},
		{"five are not", Thresholds{Count: 2, Interval: 10 * time.Second}, "eeeeep", 100, Revert, 5},
		{"errors count in a row only", Thresholds{Count: 3, Interval: 10 * time.Second, ConsecutiveErrorLimit: &two}, "eepeepeep", 200, Advance, 9},
		{"an error is tried again after 10 s without an interval", Thresholds{}, "ep", 15, Advance, 2},
		{"without count it goes on and passes as long as it is good", Thresholds{Interval: 10 * time.Second}, "pppp", 35, Advance, 4},
		{"before the initial delay nothing is known", Thresholds{Interval: 10 * time.Second, InitialDelay: time.Minute}, "f", 59, Continue, 0},
		{"from the initial delay on it is", Thresholds{Interval: 10 * time.Second, InitialDelay: time.Minute}, "f", 60, Revert, 1},
		{"count has to be reached", Thresholds{Count: 4, Interval: 10 * time.Second}, "p", 25, Continue, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{phases: tt.phases}
			tt.rule.Metric, tt.rule.Success, tt.rule.Failure = "success rate", s.is('p'), s.is('f')
			if err := tt.rule.Validate(); err != nil {
				t.Fatal(err)
			}
			var v Verdict
			for at := time.Duration(0); at <= time.Duration(tt.seconds)*time.Second; at += time.Second {
				v = tt.rule.Observe(Sample{At: at, Share: 10})
			}
			if v.Decision != tt.want || s.made/2 != tt.made {
				t.Errorf("%s after %d measurements, want %s after %d: %s", v.Decision, s.made/2, tt.want, tt.made, v.Why)
			}
		})
	}
}

// A version that starts has no users of which anything could be measured, however
// long that takes.
func TestThresholdsBearThatThereAreNoUsersYet(t *testing.T) {
	j := &Thresholds{Metric: "m", Interval: time.Second, Success: func(s Sample) (bool, error) {
		if s.Candidate.Requests == 0 {
			return false, errors.New("nothing was measured")
		}
		return true, nil
	}}
	observe := func(from, to int, s Sample) (v Verdict) {
		for i := from; i < to; i++ {
			s.At = time.Duration(i) * time.Second
			v = j.Observe(s)
		}
		return v
	}
	if v := observe(0, 60, Sample{}); v.Decision != Continue || !strings.Contains(v.Why, "nothing was measured") {
		t.Errorf("without users: %s: %s", v.Decision, v.Why)
	}
	if v := observe(60, 64, Sample{Share: 100}); v.Decision != Continue {
		t.Errorf("four errors with users: %s: %s", v.Decision, v.Why)
	}
	if v := observe(64, 65, Sample{Share: 100, Candidate: deploy.Traffic{Requests: 1}}); v.Decision != Advance {
		t.Errorf("measured: %s: %s", v.Decision, v.Why)
	}
	if v := observe(65, 70, Sample{Share: 100}); v.Decision != Revert {
		t.Errorf("five errors with users: %s: %s", v.Decision, v.Why)
	}
}

func TestOneConditionIsTheOppositeOfTheOther(t *testing.T) {
	yes := func(Sample) (bool, error) { return true, nil }
	no := func(Sample) (bool, error) { return false, nil }
	tests := []struct {
		name             string
		success, failure Condition
		want             phase
	}{
		{"none", nil, nil, successful},
		{"success met", yes, nil, successful},
		{"success not met", no, nil, failed},
		{"failure met", nil, yes, failed},
		{"failure not met", nil, no, successful},
		{"neither met", no, no, inconclusive},
		{"both met", yes, yes, failed},
		{"success alone met", yes, no, successful},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := (&Thresholds{Success: tt.success, Failure: tt.failure}).evaluate(Sample{})
			if got != tt.want || err != nil {
				t.Errorf("got %s and %v, want %s", got, err, tt.want)
			}
		})
	}
}

// A measurement sees all that came since the one before it.
func TestThresholdsMeasureWhatCameSince(t *testing.T) {
	var seen []uint64
	rule := Thresholds{Interval: 10 * time.Second, InitialDelay: 5 * time.Second, Success: func(s Sample) (bool, error) {
		seen = append(seen, s.Candidate.Requests, measureOf(s, "search").Live.Errors, total64(s.Candidate.Latency.Counts))
		return true, nil
	}}
	for i := range 16 {
		rule.Observe(Sample{
			At:        time.Duration(i) * time.Second,
			Candidate: deploy.Traffic{Requests: 2, Latency: deploy.Histogram{Le: []float64{1}, Counts: []uint64{1, 1}}},
			Others:    []Measure{{Name: "search", Live: deploy.Traffic{Errors: 3}}},
		})
	}
	want := []uint64{12, 18, 12, 20, 30, 20}
	if len(seen) != len(want) {
		t.Fatalf("measured %v, want %v", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Fatalf("measured %v, want %v", seen, want)
		}
	}
}

func total64(counts []uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func TestThresholdsThatCannotWorkAreRefused(t *testing.T) {
	for want, rule := range map[string]Thresholds{
		"no interval":                 {Count: 2},
		"can never fail":              {Count: 2, Interval: time.Second, FailureLimit: 3},
		"can never be inconclusive":   {Count: 2, Interval: time.Second, InconclusiveLimit: 3},
		"negative count":              {Count: -1},
		"interval or initialDelay":    {InitialDelay: -time.Second},
		`metric "p99" has a count of`: {Metric: "p99", Count: 2},
	} {
		if err := rule.Validate(); err == nil || !strings.Contains(err.Error(), want) || deploy.HintOf(err) == "" {
			t.Errorf("got %v with the hint %q, want %q", err, deploy.HintOf(err), want)
		}
	}
}

func TestLatencyLimit(t *testing.T) {
	le := []float64{.1, .25, .5, 1}
	tests := []struct {
		name   string
		limit  time.Duration
		counts []uint64
		want   Decision
		says   string
	}{
		{"all fast", 500 * time.Millisecond, []uint64{900, 100, 0, 0, 0}, Advance, "0% of 1000 requests took longer than 500ms"},
		{"as slow as allowed", 500 * time.Millisecond, []uint64{900, 90, 0, 10, 0}, Advance, "p99 allows 1%"},
		{"a tenth too slow", 500 * time.Millisecond, []uint64{800, 100, 0, 0, 100}, Revert, "10% of 1000"},
		{"one of two is chance enough to wait", 500 * time.Millisecond, []uint64{1, 0, 0, 1, 0}, Continue, "50% of 2"},
		{"the buckets do not tell", 300 * time.Millisecond, []uint64{800, 100, 100, 0, 0}, Continue, "another 10% may have, the buckets do not tell"},
		{"in the bucket of the limit nobody is accused", 300 * time.Millisecond, []uint64{0, 0, 1000, 0, 0}, Continue, "0% of 1000"},
		{"beyond it they are", 300 * time.Millisecond, []uint64{0, 0, 0, 1000, 0}, Revert, "100% of 1000"},
		{"above all bounds nobody passes", 2 * time.Second, []uint64{0, 0, 0, 0, 1000}, Continue, "another 100% may have"},
		{"no requests", time.Second, nil, Continue, "not known yet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := &LatencyLimit{Quantile: .99, Limit: tt.limit}
			v := j.Observe(Sample{Share: 5, Candidate: deploy.Traffic{Latency: deploy.Histogram{Le: le, Counts: tt.counts}}})
			if v.Decision != tt.want || !strings.Contains(v.Why, tt.says) || v.Metric != "latency" {
				t.Errorf("%s: %s; want %s and %q", v.Decision, v.Why, tt.want, tt.says)
			}
		})
	}
}

func TestLatencyLimitOfOneRoute(t *testing.T) {
	j := &LatencyLimit{Quantile: .5, Limit: time.Second, Measure: "search"}
	slow := deploy.Traffic{Latency: deploy.Histogram{Le: []float64{1}, Counts: []uint64{0, 1000}}}
	if v := j.Observe(Sample{Candidate: slow}); v.Decision != Advance {
		t.Errorf("slow elsewhere at a share of 0: %s: %s", v.Decision, v.Why)
	}
	if v := j.Observe(Sample{Others: []Measure{{Name: "search", Candidate: slow}}}); v.Decision != Revert || v.Metric != "search latency" {
		t.Errorf("%s for %s: %s", v.Decision, v.Metric, v.Why)
	}
}

// verdicts is a judge with its mind made up.
type verdicts Decision

func (v verdicts) Observe(Sample) Verdict { return Verdict{Decision: Decision(v), Why: string(v)} }

func TestPanelListensToTheGravest(t *testing.T) {
	for _, tt := range []struct {
		judges Panel
		want   Decision
	}{
		{nil, Advance},
		{Panel{verdicts(Advance), verdicts(Continue)}, Continue},
		{Panel{verdicts(Hold), verdicts(Continue), verdicts(Promote)}, Hold},
		{Panel{verdicts(Hold), verdicts(Revert)}, Revert},
		{Panel{verdicts(Advance), verdicts(Promote)}, Promote},
		{Panel{verdicts(Promote), verdicts(Continue)}, Continue},
	} {
		if v := tt.judges.Observe(Sample{}); v.Decision != tt.want {
			t.Errorf("%v decide %s, want %s", tt.judges, v.Decision, tt.want)
		}
	}
}
