package metrics

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slipway-ci/slipway/rollout/analysis"
)

// world is simulated traffic of two versions: what their counters stand at
// after each second.
type world struct {
	random *rand.Rand
	good   [len(sides)][]float64
	failed [len(sides)][]float64
}

// run lets time go on; share says how many of its requests a version fails.
func (w *world) run(seconds int, share func(s side, second int) float64) {
	for _, s := range sides {
		requests := 950
		if s == candidate {
			requests = 50
		}
		good, failed := 0.0, 0.0
		for second := range seconds {
			for range requests {
				if w.random.Float64() < share(s, second) {
					failed++
				} else {
					good++
				}
			}
			w.good[s], w.failed[s] = append(w.good[s], good), append(w.failed[s], failed)
		}
	}
}

// scraped are the counters of one side as they were read until now, every 15
// seconds, from a second on.
func (w *world) scraped(s side, target string, from, now int) []*object {
	counter := func(code string, counts []float64) *object {
		o := &object{key: target + code, role: requests, target: target, labels: model.Metric{"code": model.LabelValue(code)}}
		for at := from; at < now; at += 15 {
			o.points = append(o.points, point{at: int64(at)*1000 + 1_000_000, total: counts[at]})
		}
		return o
	}
	return []*object{counter("200", w.good[s]), counter("500", w.failed[s])}
}

// judged is what a judge says that is asked each second. Targets are those of
// both versions, scraped from a second on.
func judged(c *counter, w *world, seconds int, targets [len(sides)]string, from [len(sides)]int) (v analysis.Verdict, told map[outcome]int) {
	judge := &analysis.Sequential{}
	told = map[outcome]int{}
	for now := 31; now < seconds; now++ {
		objects := map[side][]*object{}
		for _, s := range sides {
			objects[s] = w.scraped(s, targets[s], from[s], now)
		}
		counts, what := c.take(objects, func(o *object) bool { return o.labels["code"] == "500" })
		told[what]++
		sample := analysis.Sample{At: time.Duration(now) * time.Second, Share: 5}
		if what == compared {
			sample.Live, sample.Candidate = counts[live].traffic(), counts[candidate].traffic()
		}
		if v = judge.Observe(sample); v.Decision == analysis.Revert {
			return v, told
		}
	}
	return v, told
}

// Both versions go through the same minute in which half of all requests fail,
// and are scraped up to half an interval apart. Nobody is at fault.
func TestAnIncidentOfBothIsNobodysFault(t *testing.T) {
	const seconds = 300
	apart := [len(sides)]string{"a", "b"}
	reverted, releases := 0, 0
	for seed := range uint64(6) {
		w := &world{random: rand.New(rand.NewPCG(seed, 1))}
		begins := 90 + int(seed)*3
		w.run(seconds, func(_ side, second int) float64 {
			if second >= begins && second < begins+60 {
				return 0.5
			}
			return 0.001
		})
		for _, offset := range []int{1, 4, 7, 11, 14} {
			trusting := newCounter()
			trusting.trusting = true
			releases++
			if v, _ := judged(trusting, w, seconds, apart, [len(sides)]int{0, offset}); v.Decision == analysis.Revert {
				reverted++
			}
			v, told := judged(newCounter(), w, seconds, apart, [len(sides)]int{0, offset})
			if v.Decision == analysis.Revert || told[unsteady] == 0 || told[compared] < 8 {
				t.Errorf("seed %d, %d seconds apart: %s (%s), %v", seed, offset, v.Decision, v.Why, told)
			}
		}
		// Behind one gateway every window can be compared.
		v, told := judged(newCounter(), w, seconds, [len(sides)]string{"g", "g"}, [len(sides)]int{0, 0})
		if v.Decision == analysis.Revert || told[unsteady] > 0 || told[compared] < 15 {
			t.Errorf("seed %d, one gateway: %s (%s), %v", seed, v.Decision, v.Why, told)
		}
	}
	t.Logf("where every window is compared, %d of %d healthy releases are reverted", reverted, releases)
	if reverted < releases/2 {
		t.Error("the incident does no harm, so that this test shows nothing")
	}
}

// Of two gateways one has not sent anybody to the new version.
func TestGatewaysThatCountForOneVersionOnly(t *testing.T) {
	const seconds = 300
	w := &world{random: rand.New(rand.NewPCG(3, 1))}
	other := &world{random: rand.New(rand.NewPCG(4, 1))}
	for _, w := range []*world{w, other} {
		w.run(seconds, func(_ side, second int) float64 {
			if second >= 100 && second < 160 {
				return 0.5
			}
			return 0.001
		})
	}
	c, judge := newCounter(), &analysis.Sequential{}
	dropped := 0
	for now := 31; now < seconds; now++ {
		objects := map[side][]*object{
			live:      append(w.scraped(live, "g1", 0, now), other.scraped(live, "g2", 8, now)...),
			candidate: w.scraped(candidate, "g1", 0, now),
		}
		counts, told := c.take(objects, func(o *object) bool { return o.labels["code"] == "500" })
		sample := analysis.Sample{At: time.Duration(now) * time.Second, Share: 2.5}
		switch told {
		case unsteady:
			dropped++
		case compared:
			sample.Live, sample.Candidate = counts[live].traffic(), counts[candidate].traffic()
		}
		if v := judge.Observe(sample); v.Decision == analysis.Revert {
			t.Fatalf("after %d seconds: %s", now, v.Why)
		}
	}
	if dropped == 0 {
		t.Error("every window was compared")
	}
}

func TestAWorseVersionIsFoundWhateverTheScrapes(t *testing.T) {
	const seconds = 300
	w := &world{random: rand.New(rand.NewPCG(7, 7))}
	w.run(seconds, func(s side, second int) float64 {
		if s == candidate && second > 100 {
			return 0.02
		}
		return 0.001
	})
	for _, offset := range []int{1, 7, 14} {
		if v, told := judged(newCounter(), w, seconds, [len(sides)]string{"a", "b"}, [len(sides)]int{0, offset}); v.Decision != analysis.Revert {
			t.Errorf("%d seconds apart: %s (%s), %v", offset, v.Decision, v.Why, told)
		}
	}
}

func TestWhatIsSteady(t *testing.T) {
	latency := func(counts ...float64) histogram { return histogram{[]float64{0.1, 0.5}, counts} }
	for name, c := range map[string]struct {
		before, now       counted
		errors, durations bool
	}{
		"the same":           {counted{requests: 1000, failures: 10}, counted{requests: 1000, failures: 10}, false, false},
		"no errors at all":   {counted{requests: 30}, counted{requests: 60}, false, false},
		"one error":          {counted{requests: 1000}, counted{requests: 30, failures: 1}, false, false},
		"chance":             {counted{requests: 1000, failures: 10}, counted{requests: 1000, failures: 20}, false, false},
		"an incident begins": {counted{requests: 1000, failures: 10}, counted{requests: 1000, failures: 60}, true, false},
		"an incident ends":   {counted{requests: 1000, failures: 60}, counted{requests: 1000, failures: 10}, true, false},
		"a small drift":      {counted{requests: 1e6, failures: 10_000}, counted{requests: 1e6, failures: 10_800}, false, false},
		"from none":          {counted{requests: 1000}, counted{requests: 1000, failures: 30}, true, false},
		"all fail":           {counted{requests: 1000}, counted{requests: 1000, failures: 1000}, true, false},
		"too few to tell":    {counted{requests: 5}, counted{requests: 1000, failures: 1000}, false, false},
		"no requests before": {counted{}, counted{requests: 1000, failures: 1000}, false, false},
		"durations stay":     {counted{latency: latency(900, 90, 10)}, counted{latency: latency(880, 110, 10)}, false, false},
		"durations move":     {counted{latency: latency(900, 90, 10)}, counted{latency: latency(600, 390, 10)}, false, true},
		"few durations move": {counted{latency: latency(9, 0, 1)}, counted{latency: latency(0, 9, 1)}, false, false},
		"other bounds, the same": {
			counted{latency: latency(900, 90, 10)},
			counted{latency: histogram{[]float64{0.1}, []float64{900, 100}}},
			false, false,
		},
	} {
		if got := otherErrors(c.before, c.now); got != c.errors {
			t.Errorf("%s: errors %v", name, got)
		}
		if got := otherDurations(c.before.latency, c.now.latency); got != c.durations {
			t.Errorf("%s: durations %v", name, got)
		}
	}
}
