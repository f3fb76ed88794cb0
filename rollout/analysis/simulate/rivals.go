package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// contender makes the judge of one rollout.
type contender struct {
	name string
	make func() analysis.Judge
	// rule is how it is set, and source where that is written down.
	rule, source string
}

// minute is the window of all rules that look at rates.
const minute = time.Minute

// The limits that people set: success rate and p99, as in the manual of
// Flagger (docs.flagger.app/usage/metrics: request-success-rate with a minimum
// of 99, request-duration with a maximum of 500 ms).
const (
	leastSuccess = 0.99
	mostP99      = 0.5
)

// How the rivals are set, in a sentence, and where their rules are written down.
const (
	argoRule = "background analysis beside `setWeight` 5, 25, 50 with pauses of 5 minutes; success rate ≥ 99% and p99 ≤ 500 ms, each a rate over 1 minute, `interval: 1m`, `initialDelay: 1m`, `failureLimit: 1`; the fifth error of a measurement in a row aborts"

	argoSource = "[analysis](https://argo-rollouts.readthedocs.io/en/stable/features/analysis/), [analysis.go](https://github.com/argoproj/argo-rollouts/blob/c9dd7ea02f9dbc933ec706821b4530401ab9e6ba/analysis/analysis.go)"

	flaggerRule = "`interval: 1m`, `threshold: 5`, weights 5, 25, 50; `request-success-rate` ≥ 99 and `request-duration` ≤ 500 ms over 1 minute; a failed check halts the advancement and counts up, and is never counted down"

	flaggerSource = "[metrics](https://docs.flagger.app/usage/metrics), [scheduler.go](https://github.com/fluxcd/flagger/blob/2944581a706b0d8d263042544aa39bd01c0e0808/pkg/controller/scheduler.go)"

	kayentaRule = "points of 1 minute, judged each 5 minutes over all so far, 15 minutes at each step; errors and p99 in one group, direction `increase`; `marginal` 75, `pass` 95; Mann-Whitney at 98% with the effect of a quarter of the estimate, as NetflixACAJudge-v1.0 has it"

	kayentaSource = "[canary judge](https://spinnaker.io/docs/guides/user/canary/judge/), [NetflixACAJudge](https://github.com/spinnaker/kayenta/blob/8a754a1651fbbe3e9f085e00e97e50c7d5b795dc/kayenta-judge/src/main/scala/com/netflix/kayenta/judge/NetflixACAJudge.scala)"

	pipecdRule = "`ANALYSIS` of 10 minutes a stage, strategy `CANARY_PRIMARY`, `deviation: HIGH`, `interval: 5m`, `failureLimit: 0`; the points of the last 5 minutes by the Mann-Whitney U test at 5%"

	pipecdSource = "[automated deployment analysis](https://pipecd.dev/docs/user-guide/managing-application/customizing-deployment/automated-deployment-analysis/), [metrics_analyzer.go](https://github.com/pipe-cd/pipecd/blob/a644fbc50940848dcf92118e4ad9dbd9333974f1/pkg/app/piped/executor/analysis/metrics_analyzer.go)"
)

// argo is a background analysis of Argo Rollouts beside the steps
//
//	setWeight 5, pause 5m, setWeight 25, pause 5m, setWeight 50, pause 5m
//
// with two metrics at an interval of 1m, measured by a rate over 1m, so with an
// initialDelay of 1m, and a failureLimit of 1. A query without a result cannot
// be indexed: the measurement is an error, and the fifth in a row aborts
// (argoproj/argo-rollouts, analysis/analysis.go and utils/evaluate/evaluate.go;
// argo-rollouts.readthedocs.io/en/stable/features/analysis).
func argo() contender {
	return contender{name: "Argo Rollouts", make: func() analysis.Judge {
		success := analysis.Thresholds{
			Metric: "success rate", Interval: minute, InitialDelay: minute, FailureLimit: 1,
			Success: func(s analysis.Sample) (bool, error) {
				if s.Candidate.Requests == 0 {
					return false, errNoValue
				}
				return 1-share(s.Candidate) >= leastSuccess, nil
			},
		}
		latency := success
		latency.Metric = "p99"
		latency.Success = func(s analysis.Sample) (bool, error) {
			if s.Candidate.Requests == 0 {
				return false, errNoValue
			}
			return quantile(s.Candidate.Latency, .99) <= mostP99, nil
		}
		return &paced{judge: analysis.Panel{&success, &latency}, pause: 5 * minute}
	}, rule: argoRule, source: argoSource}
}

var errNoValue = errors.New("no value")

// paced lets a step end after its pause, unless its judge objects.
type paced struct {
	judge analysis.Judge
	pause time.Duration
	share deploy.Percent
	since time.Duration
}

// Observe asks the judge, and the clock.
func (p *paced) Observe(s analysis.Sample) analysis.Verdict {
	if s.Share != p.share {
		p.share, p.since = s.Share, s.At
	}
	v := p.judge.Observe(s)
	if v.Decision == analysis.Revert || v.Decision == analysis.Hold {
		return v
	}
	return step(v, s, s.At-p.since >= p.pause)
}

// step is the verdict of a rule that passes or waits.
func step(v analysis.Verdict, s analysis.Sample, pass bool) analysis.Verdict {
	switch {
	case !pass:
		v.Decision = analysis.Continue
	case s.Share >= 50:
		v.Decision = analysis.Promote
	default:
		v.Decision = analysis.Advance
	}
	return v
}

// share of errors.
func share(t deploy.Traffic) float64 { return float64(t.Errors) / float64(max(t.Requests, 1)) }

// quantile as histogram_quantile of Prometheus estimates it: on a straight line
// within its bucket, and the last bound for what is above it.
func quantile(h deploy.Histogram, q float64) float64 {
	all := uint64(0)
	for _, n := range h.Counts {
		all += n
	}
	rank, below, from := q*float64(all), 0.0, 0.0
	for i, le := range h.Le {
		if n := float64(h.Counts[i]); below+n >= rank && n > 0 {
			return from + (le-from)*(rank-below)/n
		}
		below += float64(h.Counts[i])
		from = le
	}
	return from
}

// minutes cuts traffic into whole minutes.
type minutes struct {
	now  window
	next time.Duration
}

type window struct{ live, candidate deploy.Traffic }

// add gives the window when the sample ends a minute.
func (m *minutes) add(s analysis.Sample) (window, bool) {
	m.now.live, m.now.candidate = plus(m.now.live, s.Live), plus(m.now.candidate, s.Candidate)
	if m.next == 0 {
		m.next = minute
	}
	if s.At < m.next-time.Millisecond {
		return window{}, false
	}
	full := m.now
	m.now, m.next = window{}, m.next+minute
	return full, true
}

func plus(a, b deploy.Traffic) deploy.Traffic {
	sum := deploy.Traffic{Requests: a.Requests + b.Requests, Errors: a.Errors + b.Errors}
	sum.Latency = deploy.Histogram{Le: b.Latency.Le, Counts: append([]uint64(nil), b.Latency.Counts...)}
	for i, n := range a.Latency.Counts {
		sum.Latency.Counts[i] += n
	}
	return sum
}

// flagger is the progressive canary of Flagger: each interval of 1m the built-in
// checks run; one that fails, or finds no values, halts the advancement and
// counts up, and is never counted down; at 5 (threshold) the next run rolls
// back; a run without failure sets the next weight of 5, 25, 50, and after the
// last it promotes (fluxcd/flagger, pkg/controller/scheduler.go, advanceCanary,
// runCanary, and scheduler_metrics.go, runBuiltinMetricChecks).
func flagger() contender {
	return contender{name: "Flagger", make: func() analysis.Judge { return &flaggerJudge{} }, rule: flaggerRule, source: flaggerSource}
}

type flaggerJudge struct {
	minutes minutes
	failed  int
}

func (f *flaggerJudge) Observe(s analysis.Sample) analysis.Verdict {
	w, full := f.minutes.add(s)
	v := analysis.Verdict{Decision: analysis.Continue, Why: fmt.Sprintf("%d checks have failed", f.failed)}
	if !full {
		return v
	}
	if f.failed >= 5 {
		v.Decision = analysis.Revert
		return v
	}
	c := w.candidate
	ok := c.Requests > 0 && 1-share(c) >= leastSuccess && quantile(c.Latency, .99) <= mostP99
	if !ok {
		f.failed++
	}
	return step(v, s, ok)
}

// series are the points of the two metrics of both versions, one a minute.
type series struct {
	live, candidate [2][]float64
}

func (p *series) add(w window) {
	for _, v := range []struct {
		t  deploy.Traffic
		to *[2][]float64
	}{{w.live, &p.live}, {w.candidate, &p.candidate}} {
		if v.t.Requests > 0 {
			v.to[0] = append(v.to[0], share(v.t))
			v.to[1] = append(v.to[1], quantile(v.t.Latency, .99))
		}
	}
}

// kayenta is the canary stage of Spinnaker with its NetflixACAJudge: points of a
// minute, judged each 5 minutes over all that came so far, for 15 minutes at
// each step; metrics "errors" and "p99" of one group, so that one bad metric
// makes a score of 50. A metric is High when the lower end of the 98% interval
// of the shift is above a quarter of its Hodges-Lehmann estimate. A score below
// the marginal 75 fails at once, 95 passes (spinnaker/kayenta, NetflixACAJudge,
// MannWhitneyClassifier and MannWhitney; spinnaker.io/guides/user/canary/judge).
// Outliers are kept, which is the default; equal or all tied points pass.
func kayenta() contender {
	return contender{name: "Kayenta", make: func() analysis.Judge { return &kayentaJudge{} }, rule: kayentaRule, source: kayentaSource}
}

type kayentaJudge struct {
	minutes minutes
	points  series
	count   int
	judged  int
}

func (k *kayentaJudge) Observe(s analysis.Sample) analysis.Verdict {
	v := analysis.Verdict{Decision: analysis.Continue}
	w, full := k.minutes.add(s)
	if !full {
		return v
	}
	k.points.add(w)
	k.count++
	if k.count%5 != 0 {
		return v
	}
	for metric := range k.points.live {
		if high(k.points.candidate[metric], k.points.live[metric]) {
			v.Decision = analysis.Revert
			return v
		}
	}
	k.judged++
	return step(v, s, k.judged%3 == 0)
}

// high is the classification of one metric.
func high(candidate, live []float64) bool {
	if len(candidate) == 0 || len(live) == 0 {
		return false // NODATA is left out of the score
	}
	lower, estimate, ok := interval(candidate, live)
	return ok && lower > max(estimate, -estimate)/4
}

// pipecd is the ANALYSIS stage of PipeCD with the strategy CANARY_PRIMARY, two
// metrics, deviation HIGH: each interval of 5m the points of the last 5 minutes,
// one a minute, are compared by the Mann-Whitney U test at 5%; failureLimit is 0
// by default, and no data is a failure. Each stage lasts 10m (pipe-cd/pipecd,
// pkg/app/piped/executor/analysis/metrics_analyzer.go, run and compare;
// pipecd.dev/docs/user-guide/managing-application/customizing-deployment/automated-deployment-analysis).
func pipecd() contender {
	return contender{name: "PipeCD", make: func() analysis.Judge { return &pipecdJudge{} }, rule: pipecdRule, source: pipecdSource}
}

type pipecdJudge struct {
	minutes minutes
	points  series
	count   int
}

func (p *pipecdJudge) Observe(s analysis.Sample) analysis.Verdict {
	v := analysis.Verdict{Decision: analysis.Continue}
	w, full := p.minutes.add(s)
	if !full {
		return v
	}
	p.points.add(w)
	p.count++
	if p.count%5 != 0 {
		return v
	}
	points := p.points
	p.points = series{}
	for metric := range points.live {
		x, y := points.candidate[metric], points.live[metric]
		if len(x) == 0 || len(y) == 0 || !allEqual(x, y) && greater(x, y) <= 0.05 {
			v.Decision = analysis.Revert
			return v
		}
	}
	return step(v, s, p.count%10 == 0)
}

// allEqual points are no sample that the test can be made on, and no deviation.
func allEqual(x, y []float64) bool {
	for _, v := range append(append([]float64(nil), x...), y...) {
		if v != x[0] {
			return false
		}
	}
	return true
}

// ours is the judge of this repository, as the product sets it.
func ours() contender { return warming(deploy.DefaultWarmUp) }

// warming is ours with another warm-up than the product's.
func warming(lasts time.Duration) contender {
	c := contender{name: "Slipway", make: func() analysis.Judge { return &analysis.Sequential{WarmUp: lasts} }}
	if lasts != deploy.DefaultWarmUp {
		c.name = fmt.Sprintf("Slipway, warm-up %.0f s", lasts.Seconds())
	}
	return c
}

// raw is ours without the dispersion that the traffic is known to have.
func raw() contender {
	return contender{name: "Slipway, no dispersion", make: func() analysis.Judge { return undispersed{ours().make()} }}
}

type undispersed struct{ analysis.Judge }

// Observe hides the dispersion.
func (u undispersed) Observe(s analysis.Sample) analysis.Verdict {
	s.Dispersion = 0
	return u.Judge.Observe(s)
}
