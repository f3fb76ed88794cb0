package metrics

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/common/model"
)

// process counts requests by their status, and forgets all when it restarts.
type process struct {
	counts [2]float64
	total  [2]float64 // what it has really served since the first scrape
	traces [2][]point
}

// serve some requests.
func (p *process) serve(random *rand.Rand) {
	for code := range p.counts {
		n := float64(random.IntN(50 - 40*code))
		p.counts[code] += n
		p.total[code] += n
	}
}

func (p *process) scraped(at int64) {
	for code := range p.counts {
		p.traces[code] = append(p.traces[code], point{at: at, total: p.counts[code]})
	}
}

// seen are the samples of the last scrapes.
func (p *process) seen(target string, last int) (all []*object) {
	for code, trace := range p.traces {
		from := max(len(trace)-last, 0)
		all = append(all, &object{
			key: fmt.Sprint(target, code), role: requests, target: target, points: trace[from:],
			labels: model.Metric{"code": model.LabelValue(fmt.Sprint(code))},
		})
	}
	return all
}

// However seldom and irregularly somebody looks, and whatever restarts: what is
// told adds up to what was served.
func TestWhatIsToldAddsUp(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		c := newCounter()
		var apps [len(sides)]process
		for s := range apps {
			apps[s].serve(random)
			apps[s].counts[0] += 1000
		}
		var sum [len(sides)]counted
		unseen := 0
		look := func() {
			// As far back as the last look, and a little further.
			objects := map[side][]*object{live: apps[live].seen("a", unseen+6), candidate: apps[candidate].seen("b", unseen+6)}
			unseen = 0
			counts, told := c.take(objects, func(o *object) bool { return o.labels["code"] == "1" })
			if told == nothing {
				return
			}
			for s, n := range counts {
				sum[s].requests += n.requests
				sum[s].failures += n.failures
			}
		}
		scrape := func(second int64) {
			unseen++
			apps[live].scraped(1000 * second)
			apps[candidate].scraped(1000*second + int64(seed%2)*300)
		}
		for second := int64(1); second <= 3; second++ {
			scrape(second)
		}
		look()
		for s := range apps {
			apps[s].total = [2]float64{}
		}
		for second := int64(4); second < 60; second++ {
			for s := range apps {
				// More than the busiest second after it: else nobody can see it.
				if random.IntN(10) == 0 && apps[s].counts[0] > 60 {
					apps[s].counts = [2]float64{}
				}
				apps[s].serve(random)
			}
			scrape(second)
			if random.IntN(6) == 0 {
				look()
			}
		}
		scrape(60) // the last window ends with a scrape of the live version
		scrape(61)
		look()
		for s, app := range apps {
			want := counted{requests: app.total[0] + app.total[1], failures: app.total[1]}
			if sum[s].requests != want.requests || sum[s].failures != want.failures {
				t.Errorf("seed %d: %s: told %g with %g failed, served %g with %g failed", seed, side(s), sum[s].requests, sum[s].failures, want.requests, want.failures)
			}
		}
	}
}

// A gateway that sends nobody to the live version any more drops its series. Once
// all users are on the candidate, it is counted alone.
func TestACandidateIsCountedAlone(t *testing.T) {
	c := newCounter()
	var apps [len(sides)]process
	at := func(second int64, gone bool) (map[side]counted, outcome) {
		apps[candidate].counts[1] += 7
		apps[candidate].scraped(1000 * second)
		objects := map[side][]*object{candidate: apps[candidate].seen("gateway", 60)}
		if !gone {
			apps[live].scraped(1000 * second)
		}
		if !c.single {
			objects[live] = apps[live].seen("gateway", 60)
		}
		return c.take(objects, func(o *object) bool { return o.labels["code"] == "1" })
	}
	for second := int64(1); second <= 3; second++ {
		at(second, false)
	}
	if counts, told := at(4, true); told != nothing {
		t.Errorf("without the live version it is told: %+v", counts)
	}
	c.single = true
	counts, told := at(5, true)
	if told != compared || counts[candidate].failures != 14 || counts[live].requests != 0 {
		t.Errorf("alone: %s, %+v", told, counts)
	}
	if counts, told = at(6, true); told != compared || counts[candidate].failures != 7 {
		t.Errorf("and on: %s, %+v", told, counts)
	}
}
