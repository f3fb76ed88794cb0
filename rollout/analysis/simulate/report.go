package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
)

// table is printed as Markdown.
type table struct {
	title string
	head  []string
	rows  [][]string
}

func (t table) write(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n| %s |\n|%s\n", t.title, strings.Join(t.head, " | "), strings.Repeat(" --- |", len(t.head)))
	for _, row := range t.rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}

// entrant is a contender with the observation that it gets. Rules on rates look
// at scrapes; ours takes what there is.
type entrant struct {
	contender
	observation
}

func (e entrant) title() string {
	if e.contender.name == ours().name {
		return e.contender.name + ", " + e.observation.name
	}
	return e.contender.name
}

// entrants are all that are compared.
func entrants() []entrant {
	return []entrant{
		{argo(), scraped},
		{flagger(), scraped},
		{kayenta(), scraped},
		{pipecd(), scraped},
		{ours(), scraped},
		{ours(), eachSecond},
		{ours(), eachRequest},
	}
}

// affordable says whether that many requests can be looked at one by one.
func (e entrant) affordable(w world, p plan) bool {
	return e.every > 0 || w.effect.name == broken.name || w.rps*p.until <= 2e4
}

// rows fills a table: one row for each world, one cell for each entrant.
func rows(worlds []world, p func(world) plan, all []entrant, workers int, cell func(world, entrant, plan) string) [][]string {
	out := make([][]string, len(worlds))
	limit := make(chan struct{}, workers)
	var wg sync.WaitGroup
	for i, w := range worlds {
		out[i] = make([]string, len(all)+1)
		out[i][0] = w.String()
		for k, e := range all {
			limit <- struct{}{}
			wg.Go(func() {
				defer func() { <-limit }()
				plan := p(w)
				plan.observation = e.observation
				out[i][k+1] = "–"
				if e.affordable(w, plan) {
					out[i][k+1] = cell(w, e, plan)
				}
			})
		}
	}
	wg.Wait()
	return out
}

func head(first string, all []entrant) []string {
	titles := []string{first}
	for _, e := range all {
		titles = append(titles, e.title())
	}
	return titles
}

// pinnedFor keeps the share at 5% for so long.
func pinnedFor(seconds float64) func(world) plan {
	return func(w world) plan { return plan{pinned: .05, until: w.onset + seconds} }
}

// falseRevertTable is how often each reverts a candidate that is as good.
func falseRevertTable(worlds []world, all []entrant, runs, workers int) table {
	return table{
		title: fmt.Sprintf("False reverts of an equal version, share pinned at 5%%, 30 minutes, %d rollouts: share with 95%% Clopper-Pearson interval", runs),
		head:  head("traffic", all),
		rows: rows(worlds, pinnedFor(1800), all, workers, func(w world, e entrant, p plan) string {
			res := repeat(w, e.contender, p, runs)
			low, high := clopperPearson(res.reverted, runs)
			return fmt.Sprintf("%.2f%% (%.2f–%.2f)", float64(percent(res.reverted, runs)), 100*low, 100*high)
		}),
	}
}

// detectionTable is how each finds a candidate that is worse.
func detectionTable(worlds []world, all []entrant, runs, workers int) table {
	return table{
		title: fmt.Sprintf("Worse versions, share pinned at 5%%, 30 minutes from the onset, %d rollouts: missed / median seconds / median requests of the canary (over Wald's bound) / bad requests served in the mean", runs),
		head:  head("traffic", all),
		rows: rows(worlds, pinnedFor(1800), all, workers, func(w world, e entrant, p plan) string {
			res := repeat(w, e.contender, p, runs)
			early := ""
			if res.early > 0 {
				early = fmt.Sprintf("%.0f%% too early; ", float64(percent(res.early, runs)))
			}
			missed := percent(runs-res.reverted-res.early, runs)
			if res.reverted == 0 {
				return fmt.Sprintf("%s%.0f%% / – / – / –", early, float64(missed))
			}
			requests := short(median(res.requests))
			if missed < 50 {
				requests = overWald(w, median(res.requests))
			}
			return fmt.Sprintf("%s%.0f%% / %s / %s / %s", early, float64(missed), short(median(res.late)), requests, short(mean(res.failed)))
		}),
	}
}

// overWald are requests, and how many times the bound they are where it says
// anything.
func overWald(w world, requests float64) string {
	bound := wald(w)
	if w.effect.slower != 1 || bound < 10 {
		return short(requests)
	}
	return fmt.Sprintf("%s (%.2f)", short(requests), requests/bound)
}

// promotionTable is how long each takes with a candidate that is as good, and
// how often it lets one pass that is worse by the margin.
func promotionTable(worlds []world, all []entrant, runs, workers int) table {
	return table{
		title: fmt.Sprintf("Rollouts through 5, 25, 50 and 100%%, at most 2 hours, %d rollouts: promoted / median seconds to promote / reverted", runs),
		head:  head("traffic", all),
		rows: rows(worlds, func(world) plan { return plan{until: 7200} }, all, workers, func(w world, e entrant, p plan) string {
			res := repeat(w, e.contender, p, runs)
			return fmt.Sprintf("%.1f%% / %s / %.1f%%", float64(percent(res.promoted, runs)), short(median(res.took)), float64(percent(res.reverted, runs)))
		}),
	}
}

// goalTable is what has to be reached.
func goalTable(all []checked) table {
	t := table{title: "Goals of the judge", head: []string{"goal", "want", "got", "met"}}
	for _, c := range all {
		met := "yes"
		if !c.met {
			met = "**no**"
		}
		t.rows = append(t.rows, []string{c.what, c.want, c.got, met})
	}
	return t
}

// short is a number with three digits.
func short(x float64) string {
	switch {
	case math.IsNaN(x):
		return "–"
	case x >= 1e6:
		return fmt.Sprintf("%.1fM", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.1fk", x/1e3)
	case x >= 10:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.1f", x)
}

// marginal is worse by exactly what must not be promoted.
var marginal = effect{"errors + 0.1 points", func(b float64) float64 { return b + .001 }, 1}

// selection are worlds that differ from the usual one in one or two things.
func selection() (healthy, worse, rollouts []world) {
	for _, rps := range []float64{1, 50, 1000} {
		for _, base := range []float64{.0001, .001, .01} {
			w := world{rps: rps, base: base, effect: none, shape: narrow, stress: calm}
			healthy = append(healthy, w)
			rollouts = append(rollouts, w)
			for _, e := range []effect{double, point, broken} {
				if e.name == double.name && base == .01 { // which is one point
					continue
				}
				worse = append(worse, w.with(func(w *world) { w.effect = e }))
			}
		}
	}
	for _, s := range []stress{incident, clustered, warmingUp, misrouted} {
		for _, base := range []float64{.001, .01} {
			w := quick.with(func(w *world) { w.stress, w.base = s, base })
			healthy = append(healthy, w)
			rollouts = append(rollouts, w)
			worse = append(worse, w.with(func(w *world) { w.effect = point }))
		}
	}
	for _, s := range []shape{narrow, heavy, twin} {
		if s.name != narrow.name {
			healthy = append(healthy, quick.with(func(w *world) { w.shape = s }))
		}
		for _, e := range []effect{slower, sluggish} {
			worse = append(worse, quick.with(func(w *world) { w.shape, w.effect = s, e }))
		}
	}
	for _, base := range []float64{.001, .01} {
		worse = append(worse, quick.with(func(w *world) { w.base, w.effect, w.onset = base, point, 900 }))
		rollouts = append(rollouts, quick.with(func(w *world) { w.base, w.effect = base, marginal }))
	}
	return healthy, worse, rollouts
}

// product are all worlds that there are.
func product() (healthy, worse []world) {
	for _, rps := range []float64{1, 50, 1000} {
		for _, base := range []float64{.0001, .001, .01} {
			for _, s := range []shape{narrow, heavy, twin} {
				for _, st := range []stress{calm, incident, clustered, warmingUp, misrouted} {
					w := world{rps: rps, base: base, effect: none, shape: s, stress: st}
					healthy = append(healthy, w)
					for _, e := range []effect{double, point, broken, slower, sluggish} {
						for _, onset := range []float64{0, 900} {
							worse = append(worse, w.with(func(w *world) { w.effect, w.onset = e, onset }))
						}
					}
				}
			}
		}
	}
	return healthy, worse
}

// clusteredTable compares what knowing of bursts and of warm-ups is worth.
func clusteredTable(runs, workers int) table {
	all := []entrant{{raw(), scraped}, {ours(), scraped}, {warmed(), scraped}}
	t := falseRevertTable([]world{
		quick.with(func(w *world) { w.base, w.stress = .01, clustered }),
		quick.with(func(w *world) { w.stress = clustered }),
		quick.with(func(w *world) { w.stress = warmingUp }),
	}, all, runs, workers)
	t.title = "What is known of bursts and warm-ups. " + t.title
	return t
}

// identicalTable is the long proof: our judge and an equal version, many times.
func identicalTable(runs, workers int) table {
	var worlds []world
	for _, s := range []stress{calm, incident, misrouted, clustered} {
		for _, base := range []float64{.001, .01} {
			worlds = append(worlds, quick.with(func(w *world) { w.stress, w.base = s, base }))
		}
	}
	worlds = append(worlds, quick.with(func(w *world) { w.rps, w.base = 50, deploy.Percent(1).Fraction() }))
	return falseRevertTable(worlds, []entrant{{ours(), scraped}}, runs, workers)
}
