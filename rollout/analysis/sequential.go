package analysis

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Defaults of a Sequential judge.
const (
	DefaultAlpha        = 0.01
	DefaultAlphaPromote = 0.05
	DefaultMargin       = deploy.Percent(0.1)
	DefaultLatencyRatio = 1.25
	DefaultDwell        = 15 * time.Second
)

// errorWeight is how much more of the evidence may come from the errors of all
// traffic than from another metric: they are what reverts are for.
const errorWeight = 6

// doubt is the evidence at which nothing advances any more.
const doubt = 10

// Sequential compares the candidate with the live version, request by request,
// and decides as soon as the numbers allow. It may be asked at any time and any
// number of times: a candidate that is as good as the live version is reverted
// with a chance of at most Alpha in the whole rollout, however traffic and
// errors of both rise and fall together. It advances when it has been shown,
// with AlphaPromote for being wrong, that the candidate is not worse by Margin.
//
// The zero value judges with the defaults. A judge is for one rollout, of which
// it remembers as much after a year as after a minute. It has neither clock nor
// network, and must not be used by two goroutines at once.
type Sequential struct {
	// Alpha is the chance of reverting a candidate that is not worse.
	Alpha float64
	// AlphaPromote is the chance of promoting one that is worse by Margin.
	AlphaPromote float64
	// Margin is by how many percentage points the share of errors of all users
	// may rise unseen. With a share of 5% the candidate alone may be worse by
	// 20 times as much.
	Margin deploy.Percent
	// LatencyRatio is by how much quantiles of durations may rise unseen, as
	// far as the buckets can tell; above 1.
	LatencyRatio float64
	// Tolerance is by how many percentage points the candidate may fail more
	// often without being reverted for it. It should be below Margin.
	Tolerance deploy.Percent
	// Steps are the shares that the rollout goes through, ascending, the last
	// one 100; nil means 5, 25, 50, 100.
	Steps []deploy.Percent
	// Dwell is the least time at a share before the gate opens; below zero
	// means none.
	Dwell time.Duration
	// WarmUp is how long after the rollout began durations of the candidate
	// are not judged: caches fill, code is compiled. Errors are judged at once.
	WarmUp time.Duration
	// Dispersion is used while samples have none.
	Dispersion float64
	// Against is what people call what the candidate is compared with; empty
	// means the live version.
	Against string
	// Rules are for single metrics, by their names.
	Rules []Rule

	ready      bool
	metrics    []*metric
	clock      clock
	dispersion float64
	gate       gate
	// end is the verdict that nothing changes any more.
	end *Verdict
	// promoted is set once the last gate has opened.
	promoted bool
	scratch  []weighted
}

// Rule is what is different for one metric. Its zero fields are as for all.
type Rule struct {
	// Metric is its name: "errors", "latency", "checkout errors".
	Metric string
	// Weight is how much of the evidence may come from it, in relation to
	// others. Errors of all traffic have 6, everything else has 1.
	Weight float64
	// Margin, LatencyRatio and Tolerance as in Sequential.
	Margin       deploy.Percent
	LatencyRatio float64
	Tolerance    deploy.Percent
	// Unclaimed metrics can revert, and are not waited for.
	Unclaimed bool
	// Required metrics are waited for also while nothing has been seen of
	// them; others are waited for from when they first appear.
	Required bool
}

var _ Judge = (*Sequential)(nil)

// Remember tells what the live version did before the rollout, for a start
// with better expectations. Nothing is decided by it.
func (j *Sequential) Remember(live deploy.Traffic, others ...Measure) {
	j.prepare()
	j.look("", live, deploy.Traffic{}, (*metric).recall)
	for _, o := range others {
		j.look(o.Name, o.Live, deploy.Traffic{}, (*metric).recall)
	}
}

// Observe takes the next sample. After a Revert the verdict stays the same.
func (j *Sequential) Observe(s Sample) Verdict {
	j.prepare()
	if j.end != nil {
		return *j.end
	}
	began, at := j.clock.tick(s)
	if j.gate.enter(s, began) {
		for _, m := range j.metrics {
			m.wealth.change()
			m.drop()
		}
	}
	j.gather(s, at)
	j.dispersion = j.dispersed(s.Dispersion)
	for _, m := range j.metrics {
		m.wealth.until(began)
		m.settle(began, at, s.split(), j.dispersion)
	}
	v := j.decide(s, at)
	if v.Decision == Revert {
		j.end = &v
	}
	return v
}

// prepare fills in the defaults before the first use.
func (j *Sequential) prepare() {
	if j.ready {
		return
	}
	j.ready = true
	j.Alpha = between(j.Alpha, DefaultAlpha)
	j.AlphaPromote = between(j.AlphaPromote, DefaultAlphaPromote)
	if !(j.Margin > 0) {
		j.Margin = DefaultMargin
	}
	if !(j.LatencyRatio > 1) {
		j.LatencyRatio = DefaultLatencyRatio
	}
	if j.Dwell == 0 {
		j.Dwell = DefaultDwell
	}
	j.Steps = ladder(j.Steps)
	j.dispersion = j.dispersed(j.Dispersion)
}

// between is a chance, or the default for what is none.
func between(chance, otherwise float64) float64 {
	if chance > 0 && chance < 1 {
		return chance
	}
	return otherwise
}

// ladder are the steps in order, with 100 at the end.
func ladder(steps []deploy.Percent) []deploy.Percent {
	if len(steps) == 0 {
		steps = []deploy.Percent{5, 25, 50}
	}
	rungs := []deploy.Percent{100}
	for _, s := range steps {
		if s > 0 && s < 100 {
			rungs = append(rungs, s)
		}
	}
	slices.Sort(rungs)
	return slices.Compact(rungs)
}

// dispersed is the dispersion of a sample that says this; as before if nothing.
func (j *Sequential) dispersed(said float64) float64 {
	if !(said > 0) || math.IsInf(said, 0) {
		said = j.dispersion
	}
	return max(said, 1)
}

// gather puts a sample's counts where the metrics carry them.
func (j *Sequential) gather(s Sample, at float64) {
	j.gatherOne("", s.Live, s.Candidate, s, at)
	for _, o := range s.Others {
		j.gatherOne(o.Name, o.Live, o.Candidate, s, at)
	}
}

func (j *Sequential) gatherOne(name string, live, candidate deploy.Traffic, s Sample, at float64) {
	alone := s.Share == 0 && s.Candidate.Requests == 0
	warming := at <= j.WarmUp.Seconds()
	j.look(name, live, candidate, func(m *metric, live, candidate deploy.Traffic) {
		if alone || warming && m.kind == kindLatency {
			m.recall(live, candidate)
			return
		}
		m.carry(live, candidate)
	})
}

// recall learns from what no candidate was beside.
func (m *metric) recall(live, _ deploy.Traffic) { m.add(&m.forecast.seen, live) }

// carry keeps counts for the next bet.
func (m *metric) carry(live, candidate deploy.Traffic) {
	m.add(&m.carriedLive, live)
	m.add(&m.carriedCandidate, candidate)
}

// look hands traffic to each of its metrics.
func (j *Sequential) look(name string, live, candidate deploy.Traffic, use func(m *metric, live, candidate deploy.Traffic)) {
	switch {
	case live.Requests > 0 || candidate.Requests > 0:
		use(j.metric(name, kindErrors, nil), live, candidate)
	case live.Errors > 0 || candidate.Errors > 0:
		use(j.metric(name, kindEvents, nil), live, candidate)
	}
	for _, h := range [...]deploy.Histogram{live.Latency, candidate.Latency} {
		if usable(h) && someCount(h) {
			use(j.metric(name, kindLatency, h.Le), live, candidate)
			return
		}
	}
}

func someCount(h deploy.Histogram) bool {
	for _, n := range h.Counts {
		if n > 0 {
			return true
		}
	}
	return false
}

// metric finds one, or begins it.
func (j *Sequential) metric(measure string, k kind, le []float64) *metric {
	for _, m := range j.metrics {
		if m.kind == k && m.measure == measure {
			return m
		}
	}
	m := newMetric(named(measure, k), k, j.clock.began)
	m.measure, m.against = measure, against(j.Against)
	m.bind(j.rule(m.name), j.Steps, le)
	j.admit(m)
	return m
}

// named is what a metric is called.
func named(measure string, k kind) string {
	switch {
	case measure == "":
		return string(k)
	case k == kindEvents:
		return measure
	}
	return measure + " " + string(k)
}

// rule is what holds for a metric.
func (j *Sequential) rule(name string) Rule {
	r := Rule{Metric: name}
	for _, own := range j.Rules {
		if own.Metric == name {
			r = own
		}
	}
	if !(r.Weight > 0) || math.IsInf(r.Weight, 0) {
		r.Weight = 1
		if name == string(kindErrors) {
			r.Weight = errorWeight
		}
	}
	if !(r.Margin > 0) {
		r.Margin = j.Margin
	}
	if !(r.LatencyRatio > 1) {
		r.LatencyRatio = j.LatencyRatio
	}
	if !(r.Tolerance > 0) {
		r.Tolerance = max(j.Tolerance, 0)
	}
	return r
}

// admit gives a new metric its part of the evidence that there is, taken from
// all others alike. No bet is made by it, so that nothing is won or lost.
func (j *Sequential) admit(m *metric) {
	weights := 0.0
	for _, other := range j.metrics {
		weights += other.rule.Weight
	}
	if weights > 0 {
		m.part = j.log() + math.Log(m.rule.Weight/(weights+m.rule.Weight))
		for _, other := range j.metrics {
			other.part += math.Log(weights / (weights + m.rule.Weight))
		}
	}
	at, _ := slices.BinarySearchFunc(j.metrics, m, func(a, b *metric) int { return strings.Compare(a.name, b.name) })
	j.metrics = slices.Insert(j.metrics, at, m)
	j.scratch = make([]weighted, 0, len(j.metrics))
}

// log is the logarithm of all evidence against the candidate.
func (j *Sequential) log() float64 {
	sum := math.Inf(-1)
	for _, m := range j.metrics {
		sum = logAdd(sum, m.part+m.wealth.log())
	}
	return sum
}
