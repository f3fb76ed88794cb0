package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
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
	soon := w.effect.name == broken.name && w.onset == 0
	return e.every > 0 || soon || w.rps*p.until <= 2e4
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

// pinned keeps the share at 5% for half an hour.
func pinned(w world) plan { return plan{pinned: .05, until: w.onset + 1800} }

// falseRevertTable is how often each reverts a candidate that is as good.
func falseRevertTable(worlds []world, all []entrant, runs, workers int) table {
	return table{
		title: fmt.Sprintf("False reverts of an equal version, share pinned at 5%%, 30 minutes, %d rollouts: share with 95%% Clopper-Pearson interval", runs),
		head:  head("traffic", all),
		rows: rows(worlds, pinned, all, workers, func(w world, e entrant, p plan) string {
			return falseCell(repeat(w, e.contender, p, runs))
		}),
	}
}

func falseCell(res result) string {
	low, high := clopperPearson(res.reverted, res.runs)
	return fmt.Sprintf("%.2f%% (%.2f–%.2f)", float64(percent(res.reverted, res.runs)), 100*low, 100*high)
}

// detectionTable is how each finds a candidate that is worse.
func detectionTable(worlds []world, all []entrant, runs, workers int) table {
	return table{
		title: fmt.Sprintf("Worse versions, share pinned at 5%%, 30 minutes from the onset, %d rollouts: missed / median seconds / median requests of the canary (over Wald's bound) / bad requests served in the mean", runs),
		head:  head("traffic", all),
		rows: rows(worlds, pinned, all, workers, func(w world, e entrant, p plan) string {
			return detectCell(repeat(w, e.contender, p, runs))
		}),
	}
}

func detectCell(res result) string {
	early := ""
	if res.early > 0 {
		early = fmt.Sprintf("%.0f%% too early; ", float64(percent(res.early, res.runs)))
	}
	missed := percent(res.runs-res.reverted-res.early, res.runs)
	if res.reverted == 0 {
		return fmt.Sprintf("%s%.0f%% / – / – / –", early, float64(missed))
	}
	requests := short(median(res.requests))
	if missed < 50 && len(res.overWald) > 0 {
		requests += fmt.Sprintf(" (%.2f)", median(res.overWald))
	}
	return fmt.Sprintf("%s%.0f%% / %s / %s / %s", early, float64(missed), short(median(res.late)), requests, short(mean(res.failed)))
}

// promotionTable is how long each takes with a candidate that is as good, and
// how often it lets one pass that is worse by the margin.
func promotionTable(worlds []world, all []entrant, runs, workers int) table {
	return table{
		title: fmt.Sprintf("Rollouts through 5, 25, 50 and 100%%, at most 2 hours, %d rollouts: promoted / median seconds to promote / reverted", runs),
		head:  head("traffic", all),
		rows: rows(worlds, func(world) plan { return plan{until: 7200} }, all, workers, func(w world, e entrant, p plan) string {
			return promoteCell(repeat(w, e.contender, p, runs))
		}),
	}
}

func promoteCell(res result) string {
	return fmt.Sprintf("%.1f%% / %s / %.1f%%", float64(percent(res.promoted, res.runs)), short(median(res.took)), float64(percent(res.reverted, res.runs)))
}

// goalTable is what has to be reached.
func goalTable(all []checked) table {
	t := table{title: "Goals of the judge", head: []string{"goal", "traffic", "want", "got", "met"}}
	for _, c := range all {
		met := "yes"
		if !c.met {
			met = "**no**"
		}
		t.rows = append(t.rows, []string{c.of, c.what, c.want, c.got, met})
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

// ruleTable says how each is set.
func ruleTable() table {
	t := table{title: "How each is set", head: []string{"judge", "rule", "where that is written down"}}
	for _, c := range []contender{argo(), flagger(), kayenta(), pipecd()} {
		t.rows = append(t.rows, []string{c.name, c.rule, c.source})
	}
	t.rows = append(t.rows, []string{ours().name, fmt.Sprintf("the product's defaults: alpha %g, alpha of promotions %g, margin %s points, latency ratio %g, warm-up %s, least dwell %s; no history; it is told how errors are spread over 256 groups of clients, as a rollout is",
		alpha, alphaPromote, strings.TrimSuffix(analysis.DefaultMargin.String(), "%"), analysis.DefaultLatencyRatio, deploy.DefaultWarmUp, analysis.DefaultDwell), "[the judge](judge.md)"})
	return t
}

// headline are the worlds that tell most, for a table of its own.
func headline() (healthy, worse []world) {
	healthy = []world{
		quick,
		quick.with(func(w *world) { w.base = .01 }),
		quick.with(func(w *world) { w.stress = incident }),
		quick.with(func(w *world) { w.stress = clustered }),
		quick.with(func(w *world) { w.stress = warmingUp }),
		quick.with(func(w *world) { w.stress = misrouted }),
	}
	for _, e := range []effect{double, point, broken, slower, sluggish} {
		worse = append(worse, quick.with(func(w *world) { w.effect = e }))
	}
	worse = append(worse,
		quick.with(func(w *world) { w.base, w.effect = .01, point }),
		quick.with(func(w *world) { w.effect, w.onset = point, 900 }))
	return healthy, worse
}

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

// clusteredTable compares what knowing of bursts is worth.
func clusteredTable(runs, workers int) table {
	all := []entrant{{raw(), scraped}, {ours(), scraped}}
	t := falseRevertTable([]world{
		quick.with(func(w *world) { w.base, w.stress = .01, clustered }),
		quick.with(func(w *world) { w.stress = clustered }),
	}, all, runs, workers)
	t.title = "What is known of bursts. " + t.title
	return t
}

// warmUpTable is what a candidate comes to that is three times slower at first,
// for as long as the judge's warm-up lasts and for longer.
func warmUpTable(runs, workers int) table {
	var worlds []world
	for _, lasts := range []float64{15, 30, 45, 60} {
		worlds = append(worlds, quick.with(func(w *world) { w.stress, w.slowFor = warmingUp, lasts }))
	}
	all := []entrant{{unwarmed, eachSecond}, {ours(), eachSecond}, {warming(time.Minute), eachSecond}}
	t := falseRevertTable(worlds, all, runs, workers)
	t.title = fmt.Sprintf("A candidate that is %g times slower at first, and warm-ups; ours without a word is the product's, %s. ", warmUpSlower, deploy.DefaultWarmUp) + t.title
	return t
}

// identicalTable is the long proof: our judge and an equal version, many times.
func identicalTable(runs, workers int) table {
	var worlds []world
	for _, s := range []stress{calm, incident, misrouted, clustered, warmingUp} {
		for _, base := range []float64{.001, .01} {
			worlds = append(worlds, quick.with(func(w *world) { w.stress, w.base = s, base }))
		}
	}
	worlds = append(worlds, quick.with(func(w *world) { w.rps, w.base = 50, deploy.Percent(1).Fraction() }))
	t := falseRevertTable(worlds, []entrant{{ours(), scraped}}, runs, workers)
	t.title = "The long proof. " + t.title
	return t
}
