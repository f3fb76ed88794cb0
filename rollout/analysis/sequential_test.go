package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

func TestSequentialDecides(t *testing.T) {
	steady := traffic{seed: 1, requests: 400, share: 25, live: .01, candidate: .01, latency: true}
	with := func(change func(*traffic)) traffic {
		changed := steady
		change(&changed)
		return changed
	}
	tests := []struct {
		name    string
		traffic traffic
		samples int
		want    Decision
		metric  string
	}{
		{"as good as the live version", with(func(t *traffic) { t.live, t.candidate = .002, .002 }), 600, Advance, ""},
		{"all requests fail", with(func(t *traffic) { t.candidate = 1 }), 1, Revert, "errors"},
		{"a tenth of the requests fails", with(func(t *traffic) { t.candidate = .1 }), 10, Revert, "errors"},
		{"twice as many errors", with(func(t *traffic) { t.candidate = .02 }), 300, Revert, "errors"},
		{"fails after a while", with(func(t *traffic) { t.worse, t.from = .1, 200 }), 230, Revert, "errors"},
		{"a bucket slower", with(func(t *traffic) { t.slower = 1 }), 20, Revert, "latency"},
		{"too little is known", steady, 3, Continue, "errors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, after := observeAll(&Sequential{}, tt.traffic.samples(tt.samples))
			if v.Decision != tt.want || tt.metric != "" && v.Metric != tt.metric {
				t.Fatalf("%s for %s after %d samples, not %s for %s: %s", v.Decision, v.Metric, after, tt.want, tt.metric, v.Why)
			}
			t.Log(after, v.Why)
		})
	}
}

// A candidate that is better in any sample, and the same in all others, never
// has more evidence against it. Along the way it never has less for it.
func TestBetterIsNeverWorse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		samples := traffic{seed: r.Uint64(), requests: 100, share: 30, live: .05, candidate: .08, latency: true, slower: r.IntN(2)}.samples(60)
		worse := &Sequential{Alpha: 1e-9, Tolerance: deploy.Percent(r.IntN(2))}
		better := &Sequential{Alpha: 1e-9, Tolerance: worse.Tolerance}
		for i, s := range samples {
			was := worse.Observe(s)
			is := better.Observe(improve(r, s))
			if was.Decision == Revert {
				break
			}
			if is.Evidence > was.Evidence*(1+1e-9) {
				t.Fatalf("sample %d: evidence %g against the better candidate, %g against the worse", i, is.Evidence, was.Evidence)
			}
			for m := range worse.metrics {
				for c := range worse.metrics[m].claims {
					if got, than := better.metrics[m].claims[c].log, worse.metrics[m].claims[c].log; got < than-1e-9 {
						t.Fatalf("sample %d: %s has shown %g of the better candidate, %g of the worse", i, worse.metrics[m].name, got, than)
					}
				}
			}
		}
	}
}

// improve makes some errors of the candidate good, and some requests faster.
func improve(r *rand.Rand, s Sample) Sample {
	c := &s.Candidate
	c.Errors -= min(c.Errors, uint64(r.IntN(3)))
	c.Latency.Counts = slices.Clone(c.Latency.Counts)
	for k := 1; k < len(c.Latency.Counts); k++ {
		moved := min(c.Latency.Counts[k], uint64(r.IntN(3)))
		c.Latency.Counts[k] -= moved
		c.Latency.Counts[r.IntN(k)] += moved
	}
	return s
}

func TestOrderOfMetricsDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	names := []string{"checkout", "search", "login", "restarts"}
	straight, shuffled := &Sequential{Alpha: 1e-6}, &Sequential{Alpha: 1e-6}
	main := traffic{seed: 5, requests: 100, share: 20, live: .02, candidate: .03, latency: true}.samples(80)
	for i, s := range main {
		for k, name := range names {
			if i < 10*k { // they do not all come at once
				continue
			}
			m := Measure{Name: name, Live: s.Live, Candidate: s.Candidate}
			if name == "restarts" {
				m.Live, m.Candidate = deploy.Traffic{Errors: uint64(r.IntN(2))}, deploy.Traffic{Errors: uint64(r.IntN(2))}
			}
			m.Candidate.Errors = min(m.Candidate.Errors+uint64(r.IntN(2)), max(m.Candidate.Requests, 1))
			s.Others = append(s.Others, m)
		}
		a := straight.Observe(s)
		s.Others = slices.Clone(s.Others)
		r.Shuffle(len(s.Others), func(i, k int) { s.Others[i], s.Others[k] = s.Others[k], s.Others[i] })
		b := shuffled.Observe(s)
		if a.Decision != b.Decision || a.Metric != b.Metric || a.Why != b.Why || math.Abs(a.Evidence/b.Evidence-1) > 1e-9 {
			t.Fatalf("sample %d: %+v in one order, %+v in another", i, a, b)
		}
	}
}

// With expectations that no batch can change, and no stakes placed in between,
// batches of the same split are worth together what they are worth one by one.
func TestSplitAndJoinedBatchesAreWorthTheSame(t *testing.T) {
	history := deploy.Traffic{Requests: 1e12, Errors: 1e10, Latency: deploy.Histogram{Le: []float64{.1, .2}, Counts: []uint64{6e11, 3e11, 1e11}}}
	part := func(n uint64) (s Sample) {
		s.Share = 10
		s.Live = deploy.Traffic{Requests: 900 * n, Errors: 9 * n, Latency: deploy.Histogram{Le: []float64{.1, .2}, Counts: []uint64{540 * n, 270 * n, 90 * n}}}
		s.Candidate = deploy.Traffic{Requests: 100 * n, Errors: 2 * n, Latency: deploy.Histogram{Le: []float64{.1, .2}, Counts: []uint64{55 * n, 33 * n, 12 * n}}}
		return s
	}
	joined, split := &Sequential{}, &Sequential{}
	joined.Remember(history)
	split.Remember(history)
	whole := part(8)
	whole.At = 800 * time.Millisecond
	want := joined.Observe(whole)
	var got Verdict
	for i := range 8 {
		s := part(1)
		s.At = time.Duration(i+1) * 100 * time.Millisecond
		got = split.Observe(s)
	}
	if math.Abs(got.Evidence/want.Evidence-1) > 1e-6 || got.Decision != want.Decision {
		t.Errorf("split %+v, joined %+v", got, want)
	}
	for m := range joined.metrics {
		for c := range joined.metrics[m].claims {
			if a, b := split.metrics[m].claims[c].log, joined.metrics[m].claims[c].log; math.Abs(a-b) > 1e-6 {
				t.Errorf("%s: split %g, joined %g", joined.metrics[m].name, a, b)
			}
		}
	}
}

// Requests that come one by one are gathered until both versions have some.
func TestBatchesThatLackAVersionAreCarried(t *testing.T) {
	one := func(live, candidate uint64) Sample {
		return Sample{Share: 10, Live: deploy.Traffic{Requests: live}, Candidate: deploy.Traffic{Requests: candidate}}
	}
	apart, together := &Sequential{}, &Sequential{}
	for _, s := range []Sample{one(3, 0), one(0, 0), one(6, 0), one(0, 1)} {
		apart.Observe(s)
	}
	together.Observe(one(9, 1))
	if a, b := apart.log(), together.log(); a != b || a == 0 {
		t.Errorf("evidence exp(%g) of what came apart, exp(%g) of what came together", a, b)
	}
}

// What was carried at one share is not mixed with what comes at another.
func TestCarriedCountsEndWithTheShare(t *testing.T) {
	j := &Sequential{}
	j.Observe(Sample{Share: 5, Live: deploy.Traffic{Requests: 1000, Errors: 500}})
	j.Observe(Sample{Share: 25, Candidate: deploy.Traffic{Requests: 10}})
	m := j.metrics[0]
	if got := total(m.judgedCandidate) + total(m.carriedLive); got != 0 {
		t.Errorf("%g requests of the share before are still there", got)
	}
	if got := m.forecast.seen[1]; got != 500 {
		t.Errorf("has learned of %g errors, not of 500", got)
	}
}

// The mean evidence against an equal version is at most one, whenever one
// stops; here at the first time that it passes a limit, or at the end. An
// incident that both versions share makes no difference.
func TestMeanEvidenceAgainstAnEqualVersion(t *testing.T) {
	const runs, limit = 2000, 20
	sum, squares := 0.0, 0.0
	for seed := range uint64(runs) {
		j := &Sequential{Alpha: 1e-12}
		calm := traffic{seed: seed, requests: 60, share: 20, live: .02, candidate: .02, latency: true}
		incident := calm
		incident.seed, incident.live, incident.candidate = seed+runs, .4, .4
		evidence := 1.0
		for i, s := range slices.Concat(calm.samples(20), incident.samples(10), calm.samples(20)) {
			s.At = time.Duration(i+1) * 3 * time.Second
			evidence = j.Observe(s).Evidence
			if evidence >= limit {
				break
			}
		}
		sum += evidence
		squares += evidence * evidence
	}
	mean := sum / runs
	deviation := math.Sqrt((squares/runs - mean*mean) / runs)
	if mean > 1+3*deviation {
		t.Errorf("mean evidence %.3f ± %.3f, want at most 1", mean, deviation)
	}
}

func TestPromotionGoesThroughTheGates(t *testing.T) {
	j := &Sequential{}
	share := deploy.Percent(5)
	since := 0
	var gates []string
	for i := range 400 {
		s := traffic{seed: uint64(i), requests: 1000, share: share, live: .001, candidate: .001, latency: true}.samples(1)[0]
		s.At = time.Duration(i+1) * time.Second
		v := j.Observe(s)
		if v.Decision != Advance && v.Decision != Promote {
			continue
		}
		if stayed := i + 1 - since; stayed < 15 {
			t.Errorf("left %s after %d s", share, stayed)
		}
		gates, since = append(gates, fmt.Sprintf("%s %s", share, v.Decision)), i+1
		if v.Decision == Promote {
			break
		}
		share = map[deploy.Percent]deploy.Percent{5: 25, 25: 50}[share]
	}
	want := []string{"5% advance", "25% advance", "50% promote"}
	if !slices.Equal(gates, want) {
		t.Errorf("went through %q, want %q", gates, want)
	}
}

// The share of the candidate that has to be proved good grows with the step.
func TestGatesAllowConstantHarm(t *testing.T) {
	for _, tt := range []struct {
		share deploy.Percent
		want  string
	}{
		{5, "errors are at most 0.4 points worse"},
		{25, "errors are at most 0.2 points worse"},
		{50, "errors are at most 0.1 points worse"},
		{100, "errors are at most 0.1 points worse"},
	} {
		j := &Sequential{Dwell: -1}
		s := traffic{seed: 3, requests: 1000, share: min(tt.share, 90), live: .001, candidate: .001}.samples(1)[0]
		s.Share = tt.share
		if v := j.Observe(s); !strings.Contains(v.Why, tt.want) {
			t.Errorf("at %s: %q does not say %q", tt.share, v.Why, tt.want)
		}
	}
}

func TestNoDataIsNeverAPass(t *testing.T) {
	live := deploy.Traffic{Requests: 1000, Errors: 1}
	tests := []struct {
		name   string
		sample Sample
		want   string
	}{
		{"nothing at all", Sample{Share: 5}, "no user request has reached the new version"},
		{"only the live version", Sample{Share: 5, Live: live}, "nothing to compare the errors"},
		{"only the candidate", Sample{Share: 5, Candidate: live}, "nothing to compare the errors"},
		{"all on the candidate", Sample{Share: 100, Candidate: live}, "nothing to compare the errors"},
		{"only events", Sample{Share: 5, Others: []Measure{{Name: "restarts", Live: deploy.Traffic{Errors: 1}}}}, "nothing is measured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := &Sequential{Dwell: -1}
			for i := range 1000 {
				s := tt.sample
				s.At = time.Duration(i+1) * time.Minute
				v := j.Observe(s)
				if v.Decision != Continue || v.ETA != Unknown {
					t.Fatalf("%s with an ETA of %s, want continue and unknown: %s", v.Decision, v.ETA, v.Why)
				}
				if !strings.Contains(v.Why, tt.want) || !strings.HasPrefix(v.Why, "not known yet") {
					t.Fatalf("%q does not say %q", v.Why, tt.want)
				}
			}
		})
	}
}

// Whatever the durations are, buckets that hold them let an equal version pass.
func TestDurationsInAnyBucketsCanPass(t *testing.T) {
	for name, chances := range map[string][]uint64{
		"all in the lowest bucket": {1000, 0, 0, 0, 0},
		"all in one bucket":        {0, 0, 1000, 0, 0},
		"next to all in one":       {1, 0, 998, 1, 0},
		"spread":                   {200, 200, 200, 200, 200},
		"some above all bounds":    {0, 0, 100, 800, 100},
		"all above all bounds":     {0, 0, 0, 0, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			j := &Sequential{Dwell: -1}
			h := deploy.Histogram{Le: []float64{.1, .25, .5, 1}, Counts: chances}
			var v Verdict
			for i := range 100 {
				same := deploy.Traffic{Requests: 1000, Errors: 1, Latency: h}
				v = j.Observe(Sample{At: time.Duration(i+1) * time.Second, Share: 50, Live: same, Candidate: same})
			}
			if name == "all above all bounds" {
				const want = "buckets from 0.1s to 1s cannot show that p50 of latency is at most 1.25 times as long"
				if v.Decision != Continue || !strings.Contains(v.Why, want) {
					t.Errorf("%s: %s", v.Decision, v.Why)
				}
			} else if v.Decision != Promote {
				t.Errorf("%s: %s", v.Decision, v.Why)
			}
		})
	}
}

func TestRequiredMetricsAreWaitedFor(t *testing.T) {
	j := &Sequential{Dwell: -1, Rules: []Rule{{Metric: "latency", Required: true}}}
	same := deploy.Traffic{Requests: 100000, Errors: 100}
	s := Sample{At: time.Second, Share: 50, Live: same, Candidate: same}
	if v := j.Observe(s); v.Decision != Continue || v.Metric != "latency" {
		t.Errorf("%s for %q: %s", v.Decision, v.Metric, v.Why)
	}
	same.Latency = deploy.Histogram{Le: []float64{.1, .2}, Counts: []uint64{50000, 40000, 10000}}
	s.Live, s.Candidate = same, same
	var v Verdict
	for range 3 {
		s.At += time.Second
		v = j.Observe(s)
	}
	if v.Decision != Promote {
		t.Errorf("%s: %s", v.Decision, v.Why)
	}
}

// Before users are sent, what the live version does is learned.
func TestAStageWithoutUsersTeaches(t *testing.T) {
	j := &Sequential{}
	v := j.Observe(Sample{Live: deploy.Traffic{Requests: 1e6, Errors: 1e5}})
	if v.Decision != Advance {
		t.Errorf("%s at a share of 0: %s", v.Decision, v.Why)
	}
	if got := j.metrics[0].forecast.seen[1]; got != 1e5 {
		t.Errorf("knows of %g errors, not of 1e5", got)
	}
}

func TestHoldBetweenDoubtAndCertainty(t *testing.T) {
	j := &Sequential{Alpha: 1e-6}
	var seen []Decision
	for _, s := range (traffic{seed: 4, requests: 100, share: 20, live: .01, candidate: .05}).samples(200) {
		v := j.Observe(s)
		if len(seen) == 0 || seen[len(seen)-1] != v.Decision {
			seen = append(seen, v.Decision)
		}
		if v.Decision == Hold && v.Evidence < doubt {
			t.Errorf("holds at an evidence of %g", v.Evidence)
		}
	}
	if want := []Decision{Continue, Hold, Revert}; !slices.Equal(seen[len(seen)-3:], want) {
		t.Errorf("decided %v, want it to end with %v", seen, want)
	}
}

// What has reverted stays reverted, whatever comes.
func TestARevertIsFinal(t *testing.T) {
	j := &Sequential{}
	first, _ := observeAll(j, traffic{seed: 4, requests: 100, share: 20, candidate: 1}.samples(3))
	after, _ := observeAll(j, traffic{seed: 5, requests: 100, share: 20}.samples(100))
	if first.Decision != Revert || after != first {
		t.Errorf("%+v, then %+v", first, after)
	}
}

func TestAToleratedDefectIsNotReverted(t *testing.T) {
	samples := traffic{seed: 6, requests: 1000, share: 50, live: .01, candidate: .015}.samples(300)
	if v, _ := observeAll(&Sequential{}, samples); v.Decision != Revert {
		t.Errorf("without tolerance: %s: %s", v.Decision, v.Why)
	}
	if v, _ := observeAll(&Sequential{Tolerance: .5, Margin: 1}, samples); v.Decision == Revert {
		t.Errorf("with a tolerance of 0.5 points: %s", v.Why)
	}
	samples = traffic{seed: 6, requests: 1000, share: 50, live: .01, candidate: .03}.samples(300)
	if v, _ := observeAll(&Sequential{Tolerance: .5, Margin: 1}, samples); v.Decision != Revert {
		t.Errorf("2 points worse with a tolerance of 0.5: %s: %s", v.Decision, v.Why)
	}
}

// Blame is for the metric that did it, also beside many that did not.
func TestBlameIsForTheGuilty(t *testing.T) {
	good := traffic{seed: 7, requests: 200, share: 20, live: .01, candidate: .01, latency: true}.samples(100)
	bad := traffic{seed: 8, requests: 200, share: 20, live: .01, candidate: .2}.samples(100)
	j := &Sequential{}
	var v Verdict
	for i, s := range good {
		s.Others = []Measure{{Name: "search", Live: s.Live, Candidate: s.Candidate}, {Name: "checkout", Live: bad[i].Live, Candidate: bad[i].Candidate}}
		if v = j.Observe(s); v.Decision == Revert {
			break
		}
	}
	if v.Decision != Revert || v.Metric != "checkout errors" {
		t.Errorf("%s for %q: %s", v.Decision, v.Metric, v.Why)
	}
}

// Of several sets that hold a metric, the one with the smallest mean counts.
func TestBlameIsTheSmallestMean(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		j := &Sequential{}
		var evidence, weights []float64
		for i := range 5 {
			m := newMetric(fmt.Sprint(i), kindEvents, 0)
			m.bind(Rule{Weight: 1 + float64(r.IntN(4))}, nil, nil)
			for k := range m.wealth.placed {
				m.wealth.grow(k, 6*r.Float64())
			}
			j.metrics = append(j.metrics, m)
			evidence, weights = append(evidence, math.Exp(m.log())), append(weights, m.rule.Weight)
		}
		for i, m := range j.metrics {
			want := math.Inf(1)
			for set := range 32 {
				if set>>i&1 == 0 {
					continue
				}
				sum, of := 0.0, 0.0
				for k := range evidence {
					if set>>k&1 == 1 {
						sum, of = sum+evidence[k]*weights[k], of+weights[k]
					}
				}
				want = min(want, sum/of)
			}
			if got := math.Exp(j.blame(m)); math.Abs(got/want-1) > 1e-9 {
				t.Fatalf("blame %g, the smallest mean is %g", got, want)
			}
		}
	}
}

func TestEventsWithoutOccasions(t *testing.T) {
	events := func(live, candidate uint64) Decision {
		j := &Sequential{}
		var v Verdict
		for i := range 20 {
			v = j.Observe(Sample{At: time.Duration(i+1) * time.Second, Share: 10, Others: []Measure{
				{Name: "restarts", Live: deploy.Traffic{Errors: live}, Candidate: deploy.Traffic{Errors: candidate}},
			}})
		}
		return v.Decision
	}
	if got := events(9, 1); got != Continue {
		t.Errorf("events in proportion to the share: %s", got)
	}
	if got := events(0, 1); got != Revert {
		t.Errorf("20 events of the candidate alone: %s", got)
	}
}

// During the warm-up only durations are spared.
func TestWarmUpSparesDurations(t *testing.T) {
	slow := traffic{seed: 10, requests: 400, share: 25, live: .01, candidate: .01, latency: true, slower: 2}
	if v, after := observeAll(&Sequential{WarmUp: 30 * time.Second}, slow.samples(60)); v.Decision != Revert || after <= 30 {
		t.Errorf("%s after %d s: %s", v.Decision, after, v.Why)
	}
	slow.candidate = 1
	if v, after := observeAll(&Sequential{WarmUp: 30 * time.Second}, slow.samples(60)); v.Decision != Revert || after > 3 {
		t.Errorf("%s after %d s: %s", v.Decision, after, v.Why)
	}
}

// A new version may count in other buckets: what both have is compared.
func TestBucketsThatChange(t *testing.T) {
	j := &Sequential{}
	samples := traffic{seed: 11, requests: 300, share: 25, latency: true}.samples(40)
	for i, s := range samples {
		if i >= 20 {
			s.Candidate.Latency = merged(s.Candidate.Latency)
		}
		j.Observe(s)
	}
	m := j.metrics[1]
	if !slices.Equal(m.le, []float64{.02, .08, .32}) {
		t.Errorf("compares at %v", m.le)
	}
	want := 0.0
	for _, s := range samples[1:] { // the first is only learned from
		want += float64(s.Candidate.Requests)
	}
	if got := total(m.judgedCandidate); got != want {
		t.Errorf("has judged %g durations, not %g", got, want)
	}
	if v := j.Observe(samples[0]); v.Decision == Revert {
		t.Errorf("an equal version is reverted for it: %s", v.Why)
	}
}

// merged has every second bound only.
func merged(h deploy.Histogram) deploy.Histogram {
	out := deploy.Histogram{Counts: []uint64{0}}
	for k, n := range h.Counts {
		out.Counts[len(out.Counts)-1] += n
		if k%2 == 1 && k < len(h.Le) {
			out.Le, out.Counts = append(out.Le, h.Le[k]), append(out.Counts, 0)
		}
	}
	return out
}

// Numbers that no traffic has must not make nonsense of a verdict.
func TestNumbersStayNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 1))
	extreme := func() uint64 {
		return []uint64{0, 0, 1, 2, 1000, 1 << 40, math.MaxUint64}[r.IntN(7)]
	}
	anything := func() deploy.Traffic {
		tr := deploy.Traffic{Requests: extreme(), Errors: extreme()}
		for k := range 4 {
			if tr.Latency.Counts = append(tr.Latency.Counts, extreme()); k > 0 {
				tr.Latency.Le = append(tr.Latency.Le, []float64{0, 1e-300, 1, math.Inf(1)}[k])
			}
		}
		if r.IntN(10) == 0 {
			tr.Latency.Le[0] = math.NaN()
		}
		return tr
	}
	for range 300 {
		j := &Sequential{Alpha: 1e-300, Tolerance: deploy.Percent(r.IntN(3)), Dispersion: math.NaN(), Margin: deploy.Percent(math.Inf(1))}
		j.Remember(anything())
		for range 20 {
			v := j.Observe(Sample{
				At: time.Duration(r.Int64N(math.MaxInt64)), Elapsed: time.Duration(r.Int64()), Share: deploy.Percent(r.IntN(101)), Live: anything(), Candidate: anything(),
				Others: []Measure{{Name: "x", Live: anything(), Candidate: anything()}}, Dispersion: []float64{0, 1, 1e300, math.Inf(1)}[r.IntN(4)],
			})
			if math.IsNaN(v.Evidence) || math.IsInf(v.Evidence, 0) || v.Evidence < 0 || v.ETA < Unknown {
				t.Fatalf("%+v", v)
			}
			if strings.Contains(v.Why, "NaN") || strings.Contains(v.Why, "Inf") {
				t.Fatal(v.Why)
			}
			for _, m := range j.metrics {
				for _, c := range m.claims {
					if math.IsNaN(c.log) || math.IsNaN(c.gain) {
						t.Fatalf("%s: %+v", m.name, c)
					}
				}
			}
		}
	}
}

// What a judge keeps does not grow with the rollout.
func TestMemoryDoesNotGrow(t *testing.T) {
	s := sampleOf(2, 8)
	j := &Sequential{}
	kept := func(observations int) uint64 {
		for range observations {
			s.At += time.Second
			j.Observe(s)
		}
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	few, many := kept(100), kept(20000)
	if many > few+100_000 {
		t.Errorf("%d bytes are kept after 100 observations, %d after 20000 more", few, many)
	}
	runtime.KeepAlive(j)
}

func TestTimeIsAddedUpWhereOnlyStagesHaveIt(t *testing.T) {
	var c clock
	for _, tt := range []struct{ elapsed, began, at float64 }{{1, 0, 1}, {2, 1, 2}, {0.5, 2, 2.5}, {3, 2.5, 5}, {1, 5, 6}} {
		began, at := c.tick(Sample{Elapsed: seconds(tt.elapsed)})
		if began != tt.began || at != tt.at {
			t.Errorf("elapsed %g: from %g to %g, want %g to %g", tt.elapsed, began, at, tt.began, tt.at)
		}
	}
}
