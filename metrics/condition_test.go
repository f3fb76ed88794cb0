package metrics

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// measured is a sample of 200 requests on the new version with 3 errors, and
// of 1000 with 5 on the live one.
func measured() analysis.Sample {
	le := []float64{0.1, 0.5}
	return analysis.Sample{
		Live:      deploy.Traffic{Requests: 1000, Errors: 5, Latency: deploy.Histogram{Le: le, Counts: []uint64{900, 99, 1}}},
		Candidate: deploy.Traffic{Requests: 200, Errors: 3, Latency: deploy.Histogram{Le: le, Counts: []uint64{190, 5, 5}}},
		Others:    []analysis.Measure{{Name: "restarts", Candidate: deploy.Traffic{Errors: 2}}},
		Gauges:    []analysis.Gauge{{Name: "cpu", Live: 0.2, Candidate: 0.5}, {Name: "only", Live: math.NaN(), Candidate: 7}},
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		name       string
		kind       Kind
		expression string
		want       bool
	}{
		{"", KindTraffic, "result.errors / result.requests < 0.01", false},
		{"", KindTraffic, "result.errors / result.requests < 0.02", true},
		{"", KindTraffic, "result.errors / result.requests <= 3.0 * live.errors / live.requests", true},
		{"", KindTraffic, "result.requests > 100", true},
		{"", KindTraffic, "result.errors * 100 / result.requests == 1.5", true},
		{"", KindTraffic, "result.quantile(0.95) <= 0.1", true},
		{"", KindTraffic, "result.quantile(0.96) <= 0.1", false},
		{"", KindTraffic, "result.quantile(0.99) < 10.0", false}, // above the last bound
		{"", KindTraffic, "live.quantile(0.99) < 0.5 || live.quantile(0.99) == 0.5", true},
		{"restarts", KindEvents, "result.errors == 0", false},
		{"restarts", KindEvents, "result.errors <= live.errors + 2.0", true},
		{"cpu", KindValue, "result < 1.5 * live", false},
		{"cpu", KindValue, "result < 1", true},
		{"only", KindValue, "result > 6.5 && result < 8", true},
	} {
		condition, err := Condition(c.name, c.kind, c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		if got, err := condition(measured()); got != c.want || err != nil {
			t.Errorf("%s: got %v, %v", c.expression, got, err)
		}
	}
}

func TestConditionsOnWhatWasNotMeasuredAreNoMeasurement(t *testing.T) {
	for _, c := range []struct {
		name       string
		kind       Kind
		expression string
		sample     analysis.Sample
		why        string
	}{
		{"", KindTraffic, "result.errors / result.requests < 0.01", analysis.Sample{Live: measured().Live}, "nothing was measured of the new version"},
		{"", KindTraffic, "result.errors <= live.errors", analysis.Sample{Candidate: measured().Candidate}, "nothing was measured of the live version"},
		{"checkout", KindTraffic, "result.errors == 0", measured(), "nothing was measured"},
		{"other", KindEvents, "result.errors == 0", measured(), "nothing was measured"},
		{"other", KindValue, "result == 0", measured(), "nothing was measured"},
		{"only", KindValue, "result > live", measured(), "nothing was measured of the live version"},
		{"", KindTraffic, "result.quantile(0.99) < 1", analysis.Sample{Candidate: deploy.Traffic{Requests: 1}}, "no durations were measured"},
		{"", KindTraffic, "result.quantile(99.0) < 1", measured(), "write a number between 0 and 1"},
	} {
		condition, err := Condition(c.name, c.kind, c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		if got, err := condition(c.sample); got || err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, %v", c.expression, got, err)
		}
	}
	// What is not asked for need not be there.
	condition, err := Condition("only", KindValue, "result > 6")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := condition(measured()); !got || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWrongConditionsAreToldWithTheirPlace(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		expression string
		why        string
	}{
		{KindTraffic, "result.errors / result.requets < 0.01", "column 23: undefined field 'requets'"},
		{KindTraffic, "result.errors /", "column 16: Syntax error"},
		{KindTraffic, "result.errors < '1'", "column 15: found no matching overload for '_<_'"},
		{KindTraffic, "result < 1", "column 8: found no matching overload for '_<_'"},
		{KindTraffic, "result.errors / result.requests", "column 1: the result is of type double"},
		{KindTraffic, "true &&\n  results.errors > 1", "line 2, column 3: undeclared reference to 'results'"},
		{KindTraffic, "", "Syntax error"},
		{KindEvents, "result.requests > 0", "undefined field 'requests'"},
		{KindValue, "result.errors > 0", "does not support field selection"},
		{"latency", "true", `no kind of metric "latency"`},
	} {
		_, err := Condition("", c.kind, c.expression)
		if !deploy.IsUsage(err) || deploy.HintOf(err) == "" || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: got %v", c.expression, err)
		}
	}
}

// As with Argo Rollouts: nothing measured is neither a success nor a failure,
// and too many of them in a row end it.
func TestThresholdsByConditions(t *testing.T) {
	condition, err := Condition("", KindTraffic, "result.errors / result.requests < 0.01")
	if err != nil {
		t.Fatal(err)
	}
	limit := 1
	j := &analysis.Thresholds{Metric: "errors", Success: condition, Interval: 10 * time.Second, Count: 3, ConsecutiveErrorLimit: &limit}
	var v analysis.Verdict
	for at, s := range []analysis.Sample{{}, {Candidate: deploy.Traffic{Requests: 100}}, {}, {}} {
		s.At, s.Share = time.Duration(at+1)*10*time.Second, 10
		v = j.Observe(s)
	}
	if v.Decision != analysis.Revert || !strings.Contains(v.Why, "nothing was measured of the new version; this was number 2 in a row") {
		t.Errorf("got %s: %s", v.Decision, v.Why)
	}
}
