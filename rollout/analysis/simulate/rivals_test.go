package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Tables of the Mann-Whitney U test: with 5 and 5 values, complete separation
// has a chance of 1 in 252, one step less 2 in 252.
func TestMannWhitneyIsExact(t *testing.T) {
	for _, tt := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{6, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 5}, 1. / 252},
		{[]float64{5, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 6}, 2. / 252},
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 1},
		{[]float64{1, 1}, []float64{1, 1}, 1},
		{[]float64{2, 2}, []float64{1, 2}, 3. / 6},
	} {
		if got := greater(tt.x, tt.y); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%v over %v: %g, want %g", tt.x, tt.y, got, tt.want)
		}
	}
}

func TestMidranks(t *testing.T) {
	if got := midranks([]float64{3, 1, 3, 2, 3}); !slices.Equal(got, []float64{4, 1, 4, 2, 4}) {
		t.Errorf("%v", got)
	}
}

// The estimate is the median of all differences, and the interval holds it.
func TestIntervalHoldsTheShift(t *testing.T) {
	y := []float64{1, 2.1, 3.3, 4.2, 5.7, 6.1, 7.4, 8.8, 9.5, 10.9}
	x := make([]float64, len(y))
	for i := range y {
		x[i] = y[i] + 20
	}
	lower, estimate, ok := interval(x, y)
	if !ok || math.Abs(estimate-20) > 0.5 || lower >= estimate || lower < 10 {
		t.Errorf("from %g around %g, %t", lower, estimate, ok)
	}
	if !high(x, y) || high(y, x) || high(y, y) {
		t.Errorf("high: %t up, %t down, %t alike", high(x, y), high(y, x), high(y, y))
	}
	if _, _, ok := interval([]float64{1, 1}, []float64{1, 1}); ok {
		t.Error("there is an interval of what is all tied")
	}
}

// minutesOf is traffic of whole minutes with shares of errors.
func minutesOf(shares ...float64) []analysis.Sample {
	var all []analysis.Sample
	for i, bad := range shares {
		for quarter := range 4 {
			s := analysis.Sample{At: time.Duration(i)*minute + time.Duration(quarter+1)*15*time.Second, Share: 5}
			s.Live = deploy.Traffic{Requests: 9500, Errors: 10, Latency: fast(9500)}
			s.Candidate = deploy.Traffic{Requests: 500, Errors: uint64(500 * bad), Latency: fast(500)}
			if bad < 0 {
				s.Candidate = deploy.Traffic{Latency: fast(0)}
			}
			all = append(all, s)
		}
	}
	return all
}

func fast(n uint64) deploy.Histogram {
	h := deploy.Histogram{Le: bounds, Counts: make([]uint64, len(bounds)+1)}
	h.Counts[3] = n
	return h
}

// decided is the first verdict that is not "continue", and its minute.
func decided(j analysis.Judge, samples []analysis.Sample) (analysis.Decision, time.Duration) {
	for _, s := range samples {
		if v := j.Observe(s); v.Decision != analysis.Continue {
			return v.Decision, s.At / minute
		}
	}
	return analysis.Continue, 0
}

func TestRivalsFollowTheirRules(t *testing.T) {
	good := slices.Repeat([]float64{.001}, 16)
	for _, tt := range []struct {
		name   string
		judge  contender
		shares []float64
		want   analysis.Decision
		after  time.Duration
	}{
		{"Argo bears one failure", argo(), []float64{.02, .001, .001, .001, .001, .001}, analysis.Advance, 5},
		{"Argo reverts at the second", argo(), []float64{.02, .001, .02}, analysis.Revert, 3},
		{"Argo aborts when there is no data five times", argo(), slices.Repeat([]float64{-1}, 6), analysis.Revert, 5},
		{"Flagger advances after one good minute", flagger(), good, analysis.Advance, 1},
		{"Flagger rolls back in the run after the fifth failure", flagger(), slices.Repeat([]float64{.02}, 7), analysis.Revert, 6},
		{"Flagger counts missing data as failures", flagger(), slices.Repeat([]float64{-1}, 7), analysis.Revert, 6},
		{"Kayenta judges after five minutes", kayenta(), []float64{.02, .03, .021, .022, .023}, analysis.Revert, 5},
		{"Kayenta passes a step after three judgements", kayenta(), good, analysis.Advance, 15},
		{"PipeCD tests after five minutes", pipecd(), []float64{.02, .03, .021, .022, .023}, analysis.Revert, 5},
		{"PipeCD passes after its duration", pipecd(), slices.Repeat([]float64{0}, 16), analysis.Advance, 10},
		{"PipeCD fails without data", pipecd(), slices.Repeat([]float64{-1}, 6), analysis.Revert, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, after := decided(tt.judge.make(), minutesOf(tt.shares...)); got != tt.want || after != tt.after {
				t.Errorf("%s after %d min, want %s after %d min", got, after, tt.want, tt.after)
			}
		})
	}
}

func TestQuantileOfAHistogram(t *testing.T) {
	h := deploy.Histogram{Le: []float64{1, 2, 4}, Counts: []uint64{50, 25, 20, 5}}
	for q, want := range map[float64]float64{.25: .5, .5: 1, .75: 2, .85: 3, .99: 4} {
		if got := quantile(h, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
}
