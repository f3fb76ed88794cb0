package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// goal is one number that the judge has to reach.
type goal struct {
	// of is the line of the goals that it belongs to, and what its world.
	of, what, want string
	// measure says what came out, and whether that is enough.
	measure func() (got string, met bool)
}

// The lines of the goals.
const (
	ofFalse   = "false reverts per rollout, shared incidents included: at most 1%"
	ofDetect  = "requests to detect over Wald's bound, at a share of 5%: at most 1.35"
	ofBroken  = "a broken canary: at most 4 of its requests, and what comes during one observation"
	ofLate    = "late onset, one point more after 900 good seconds: at most 3 × Wald's bound"
	ofPromote = "safe promotion 5→25→50→100 at 0.1% errors: at most 60 s at 1000 rps, 16 min at 50 rps"
	ofMargin  = "promoted at the margin: at most 5%"
	ofCost    = "an observation of 5 metrics with 20 buckets: below 50 µs, nothing that grows"
)

// checked is a goal with what came out.
type checked struct {
	goal
	got string
	met bool
}

// alpha of the default judge, and of its promotions.
const (
	alpha        = analysis.DefaultAlpha
	alphaPromote = analysis.DefaultAlphaPromote
)

// quick is the world of most goals.
var quick = world{rps: 1000, base: .001, effect: none, shape: narrow, stress: calm}

func (w world) with(change func(*world)) world { change(&w); return w }

// goals are what the judge has to reach, each with so many runs for the false
// reverts and in proportion for the others.
func goals(runs int) []goal { return goalsWithin(1, runs) }

// goalsWithin are the same, with limits on medians that are so many times wider:
// medians of a few runs say no more.
func goalsWithin(slack float64, runs int) []goal {
	few := max(runs/25, min(runs, 100))
	var all []goal
	for _, w := range []world{
		quick,
		quick.with(func(w *world) { w.base = .01 }),
		quick.with(func(w *world) { w.stress = incident }),
		quick.with(func(w *world) { w.base, w.stress = .01, incident }),
		quick.with(func(w *world) { w.stress, w.shape = misrouted, heavy }),
		quick.with(func(w *world) { w.rps, w.base, w.shape = 50, .01, twin }),
		quick.with(func(w *world) { w.base, w.stress = .01, clustered }),
		quick.with(func(w *world) { w.stress = warmingUp }),
	} {
		all = append(all, falseReverts(w, plan{scraped, .05, 600}, runs))
	}
	all = append(all, falseReverts(quick.with(func(w *world) { w.base, w.stress = .01, incident }), plan{eachSecond, 0, 600}, few))
	for _, observed := range []observation{eachSecond, scraped} {
		all = append(all, toDetect(ofDetect, quick.with(func(w *world) { w.effect = double }), observed, 1.35*slack, few))
	}
	all = append(all,
		toDetect(ofDetect, quick.with(func(w *world) { w.base, w.effect = .01, double }), eachSecond, 1.35*slack, 2*few),
		toDetect(ofDetect, quick.with(func(w *world) { w.base, w.effect = .01, double }), observation{"50 ms", .05}, 1.35*slack, few),
		toBreak(quick.with(func(w *world) { w.effect = broken }), few),
		toBreak(quick.with(func(w *world) { w.base, w.effect = .01, broken }), few),
	)
	all = append(all, lateOnset(slack, max(few/2, 1))...)
	return append(all,
		toPromote(quick, unwarmed, 60*slack, 2*few),
		toPromote(quick, ours(), (60+warmUpBeyondDwell)*slack, 2*few),
		toPromote(quick.with(func(w *world) { w.rps = 50 }), ours(), 16*60*slack, max(few/2, 1)),
		atTheMargin(quick, few),
		atTheMargin(quick.with(func(w *world) { w.rps = 200; w.base = .005 }), few),
	)
}

// unwarmed judges durations from the first request on. The goal of a minute has
// 45 s of dwell in it and no warm-up; with one, the first step lasts longer by
// what the warm-up is longer than the dwell.
var unwarmed = warming(0)

const warmUpBeyondDwell = float64((deploy.DefaultWarmUp - analysis.DefaultDwell) / time.Second)

// lateOnset is a candidate that turns bad after a quarter of an hour: also at a
// moment that no schedule of stakes knows, and with scrapes. What one of those
// brings is more than a bound of requests; it is seen whole or not at all, so
// that it is added to what is asked.
func lateOnset(slack float64, runs int) []goal {
	worse := func(change func(*world)) world {
		return quick.with(func(w *world) { w.effect, w.onset = point, 900; change(w) })
	}
	var all []goal
	for _, w := range []world{
		worse(func(*world) {}),
		worse(func(w *world) { w.onset = 911 }),
		worse(func(w *world) { w.base = .01 }),
		worse(func(w *world) { w.base, w.onset = .01, 911 }),
		worse(func(w *world) { w.rps = 50 }),
	} {
		all = append(all, toDetect(ofLate, w, eachSecond, 3*slack, runs))
	}
	for _, base := range []float64{.001, .01} {
		w := worse(func(w *world) { w.base = base })
		scrape := w.rps * .05 * scraped.every / wald(w)
		g := toDetect(ofLate, w, scraped, (3+scrape)*slack, runs)
		g.want = fmt.Sprintf("median at most 3 and a scrape, which is %.2f, no miss", scrape)
		all = append(all, g)
	}
	return all
}

// falseReverts must stay below alpha, with the upper end of their interval where
// there are enough runs for it.
func falseReverts(w world, p plan, runs int) goal {
	g := goal{of: ofFalse, what: fmt.Sprintf("%s, %s", w, p.name), want: "at most 1%"}
	if runs >= 5000 {
		g.want = "at most 1%, and the upper end of the 95% interval, too"
	}
	g.measure = func() (string, bool) {
		res := repeat(w, ours(), p, runs)
		low, high := clopperPearson(res.reverted, runs)
		enough := low
		if runs >= 5000 {
			enough = high
		}
		return fmt.Sprintf("%d of %d: %.2f%% (%.2f%% to %.2f%%)", res.reverted, runs, float64(percent(res.reverted, runs)), 100*low, 100*high), enough <= alpha
	}
	return g
}

// toDetect is the median of the candidate's requests until it is reverted, over
// Wald's bound.
func toDetect(of string, w world, observed observation, limit float64, runs int) goal {
	g := goal{of: of, what: fmt.Sprintf("%s, %s", w, observed.name), want: fmt.Sprintf("median at most %g, no miss", limit)}
	g.measure = func() (string, bool) {
		res := repeat(w, ours(), plan{observed, .05, w.onset + 40*wald(w)/(w.rps*.05)}, runs)
		bound := wald(w)
		ratio := median(res.requests) / bound
		got := fmt.Sprintf("%.2f (mean %.2f; %.0f of %.0f requests, %.0f s; %d misses and %d too early of %d)",
			ratio, mean(res.requests)/bound, median(res.requests), bound, median(res.late), runs-res.reverted-res.early, res.early, runs)
		return got, ratio <= limit && res.reverted+res.early == runs && float64(res.early) <= 0.02*float64(runs)
	}
	return g
}

// toBreak is the number of requests that a candidate gets of which all fail.
func toBreak(w world, runs int) goal {
	g := goal{of: ofBroken, what: w.String() + ", each request", want: "median at most 4, no miss"}
	g.measure = func() (string, bool) {
		res := repeat(w, ours(), plan{eachRequest, .05, 5}, runs)
		if res.reverted == 0 {
			return "none is reverted", false
		}
		got := fmt.Sprintf("%.1f (mean %.1f, most %.0f)", median(res.requests), mean(res.requests), slices.Max(res.requests))
		return got, res.reverted == runs && median(res.requests) <= 4
	}
	return g
}

// toPromote is how long a candidate that is as good takes to get all users.
func toPromote(w world, c contender, limit float64, runs int) goal {
	g := goal{of: ofPromote, what: c.name + ": " + w.String() + ", 1 s", want: fmt.Sprintf("median at most %g s", limit)}
	const longest = 3600
	g.measure = func() (string, bool) {
		res := repeat(w, c, plan{eachSecond, 0, longest}, runs)
		got := fmt.Sprintf("%.0f s (mean %.0f s, %s promoted within %.0f s)", median(res.took), mean(res.took), percent(res.promoted, runs), float64(longest))
		return got, median(res.took) <= limit
	}
	return g
}

// atTheMargin is how many candidates are promoted that are just as bad as must
// not be.
func atTheMargin(w world, runs int) goal {
	w.effect = marginal
	g := goal{of: ofMargin, what: w.String() + ", 1 s", want: "at most 5%"}
	g.measure = func() (string, bool) {
		res := repeat(w, ours(), plan{eachSecond, 0, 1800}, runs)
		low, high := clopperPearson(res.promoted, runs)
		got := fmt.Sprintf("%s (%.1f%% to %.1f%%), %s reverted", percent(res.promoted, runs), 100*low, 100*high, percent(res.reverted, runs))
		return got, percent(res.promoted, runs) <= deploy.Percent(100*alphaPromote)
	}
	return g
}

// check measures all goals, on so many processors.
func check(all []goal, workers int) []checked {
	out := make([]checked, len(all))
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				out[i].goal = all[i]
				out[i].got, out[i].met = all[i].measure()
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	wg.Wait()
	return out
}
