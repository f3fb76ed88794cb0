package analysis

import (
	"math"

	"github.com/slipway-ci/slipway/deploy"
)

// kind is what a metric counts.
type kind string

const (
	kindErrors  kind = "errors"  // answered, failed
	kindLatency kind = "latency" // buckets of durations
	kindEvents  kind = "events"  // what happened, out of nobody knows how many
)

// Before anything was seen, a live version is taken to fail as one request of a
// hundred does. This is worth so many requests only, and forgotten after a few
// seconds; a prior without an opinion would stake the first batch on one of two.
const (
	priorFailed   = 0.5
	priorRequests = 50
)

// leastSeen is how many durations of the live version have to be known before
// anybody bets on durations: of those there is no opinion beforehand.
const leastSeen = 100

// metric is one metric with all that is remembered of it.
type metric struct {
	name string
	// measure that it belongs to; empty for all traffic.
	measure string
	// against is what people call the side that is compared with.
	against string
	kind    kind
	rule    Rule
	// part of all evidence that is this metric's, as a logarithm. It changes
	// when another metric appears.
	part    float64
	experts []expert
	wealth  wealth
	claims  []claim
	trails  []trail
	// le are the bounds of latency buckets that all samples had.
	le []float64
	// forecast is of the live version.
	forecast forecast
	// carried are the counts of the batch that is being gathered.
	carriedLive, carriedCandidate []float64
	// judged are all counts that bets were made on.
	judgedLive, judgedCandidate []float64
	ratios                      []float64
	pace                        pace
}

func newMetric(name string, k kind, at float64) *metric {
	m := &metric{name: name, kind: k}
	switch k {
	case kindErrors:
		m.experts = errorExperts()
	case kindEvents:
		m.experts = eventExperts()
	case kindLatency:
		m.experts = latencyExperts()
	}
	m.wealth = newWealth(m.experts, at)
	m.pace.at = at
	return m
}

// bind says what is asked of the metric, and makes room for what it counts.
func (m *metric) bind(r Rule, steps []deploy.Percent, le []float64) {
	m.rule, m.le = r, finite(le)
	switch m.kind {
	case kindErrors:
		m.resize([]float64{priorRequests - priorFailed, priorFailed})
		m.claims = errorClaims(r.Margin, steps)
	case kindEvents:
		m.resize([]float64{1})
	case kindLatency:
		m.resize(level(len(m.le) + 1))
		m.claims = latencyClaims(r.LatencyRatio)
	}
	if r.Unclaimed {
		m.claims = nil
	}
}

// level is one observation, spread over all outcomes.
func level(outcomes int) []float64 {
	prior := make([]float64, outcomes)
	for k := range prior {
		prior[k] = 1 / float64(outcomes)
	}
	return prior
}

// resize makes room for as many outcomes as the prior has, all zero.
func (m *metric) resize(prior []float64) {
	outcomes := len(prior)
	m.forecast = newForecast(prior)
	for _, counts := range []*[]float64{&m.carriedLive, &m.carriedCandidate, &m.judgedLive, &m.judgedCandidate, &m.ratios} {
		*counts = make([]float64, outcomes)
	}
	m.trails = make([]trail, len(m.experts))
	for j := range m.trails {
		m.trails[j] = newTrail(outcomes)
	}
}

// narrow keeps only bounds that the histogram has, too, and pours what was
// counted into what is left.
func (m *metric) narrow(h deploy.Histogram) {
	le := common(m.le, h.Le)
	if len(le) == len(m.le) {
		return
	}
	old := *m
	m.le = le
	m.resize(level(len(le) + 1))
	pour(m.forecast.seen, le, old.forecast.seen, old.le)
	pour(m.forecast.recent, le, old.forecast.recent, old.le)
	pour(m.carriedLive, le, old.carriedLive, old.le)
	pour(m.carriedCandidate, le, old.carriedCandidate, old.le)
	pour(m.judgedLive, le, old.judgedLive, old.le)
	pour(m.judgedCandidate, le, old.judgedCandidate, old.le)
	for j, t := range old.trails {
		m.trails[j].score, m.trails[j].began = t.score, t.began
		pour(m.trails[j].live, le, t.live, old.le)
		pour(m.trails[j].candidate, le, t.candidate, old.le)
	}
}

// add puts traffic into counts of the metric.
func (m *metric) add(to *[]float64, t deploy.Traffic) {
	switch m.kind {
	case kindErrors:
		failed := min(t.Errors, t.Requests)
		(*to)[0] += float64(t.Requests - failed)
		(*to)[1] += float64(failed)
	case kindEvents:
		(*to)[0] += float64(t.Errors)
	case kindLatency:
		if usable(t.Latency) {
			m.narrow(t.Latency) // may replace the counts
			pourHistogram(*to, m.le, t.Latency)
		}
	}
}

// gathered says whether the carried batch can be bet on, and at which split.
// Events have no occasions to count: share is theirs.
func (m *metric) gathered(share float64) (rho float64, ok bool) {
	c, l := total(m.carriedCandidate), total(m.carriedLive)
	if m.kind == kindEvents {
		return share, c+l > 0 && share > 0 && share < 1
	}
	return c / (c + l), c > 0 && l > 0
}

// drop parts with what is carried at another share: it lacks one version, and a
// batch of two shares would take a bad minute for a bad version.
func (m *metric) drop() {
	m.forecast.look()
	m.forecast.learn(m.carriedLive, 0)
	clear(m.carriedLive)
	clear(m.carriedCandidate)
}

// settle bets on the carried batch, if it has both versions in it, and learns
// from it afterwards. began and at are seconds. The dispersion is of errors.
func (m *metric) settle(began, at, share, dispersion float64) {
	rho, ok := m.gathered(share)
	if !ok {
		return
	}
	if m.kind != kindErrors {
		dispersion = 1
	}
	lasted := max(at-m.pace.at, 0)
	m.pace.batch(lasted, total(m.carriedCandidate)+total(m.carriedLive))
	m.pace.at = at
	m.forecast.look()
	if m.kind != kindLatency || total(m.forecast.seen) >= leastSeen {
		m.bet(rho, began, at, dispersion)
	}
	m.forecast.learn(m.carriedLive, lasted)
	clear(m.carriedLive)
	clear(m.carriedCandidate)
}

// bet lets experts and claims grow or shrink by the carried batch.
func (m *metric) bet(rho, began, at, dispersion float64) {
	for j, e := range m.experts {
		step := m.step(e, rho, dispersion)
		m.wealth.grow(j, step)
		m.trails[j].follow(step, began, at, m.carriedCandidate, m.carriedLive)
	}
	for i := range m.claims {
		m.claims[i].bet(m, rho, dispersion)
	}
	for k := range m.judgedLive {
		m.judgedLive[k] += m.carriedLive[k]
		m.judgedCandidate[k] += m.carriedCandidate[k]
	}
}

// step is what the carried batch is worth to an expert, as a logarithm.
func (m *metric) step(e expert, rho, dispersion float64) float64 {
	expected := m.forecast.expected()
	e.ratios(expected, m.ratios)
	if m.kind != kindErrors {
		return gain(m.ratios, m.carriedCandidate, m.carriedLive, rho)
	}
	l := expected.mass[1]
	c, tolerance := l*m.ratios[1], m.rule.Tolerance.Fraction()
	if c <= l+tolerance { // what is tolerated, or as expected, is not worth a bet
		return 0
	}
	g := betOn(c, l, tolerance, rho)
	return g.of(m.carriedCandidate[1], m.carriedCandidate[0], m.carriedLive[1], m.carriedLive[0]) / g.tempered(rho, dispersion)
}

// log is the logarithm of the evidence against the candidate by this metric.
func (m *metric) log() float64 { return m.wealth.log() }

// suspect is the expert that explains best what was seen lately.
func (m *metric) suspect() trail {
	best := 0
	for j := range m.trails {
		if m.trails[j].score+m.wealth.late[j] > m.trails[best].score+m.wealth.late[best] {
			best = j
		}
	}
	return m.trails[best]
}

// trail remembers the counts since an expert last had nothing to show, for
// saying since when something is wrong and by how much.
type trail struct {
	score           float64
	began, at       float64
	candidate, live []float64
}

func newTrail(outcomes int) trail {
	return trail{candidate: make([]float64, outcomes), live: make([]float64, outcomes)}
}

func (t *trail) follow(step, began, at float64, candidate, liveCounts []float64) {
	if t.score == 0 {
		t.began = began
	}
	t.at = at
	t.score += step
	if t.score <= 0 {
		t.score = 0
		clear(t.candidate)
		clear(t.live)
		return
	}
	for k := range candidate {
		t.candidate[k] += candidate[k]
		t.live[k] += liveCounts[k]
	}
}

// pace is how much traffic a metric gets, with a memory of about a minute.
type pace struct {
	at, lasted, requests float64
}

const paceMemory = 60.0

func (p *pace) batch(lasted, requests float64) {
	fade := math.Exp(-lasted / paceMemory)
	p.lasted = p.lasted*fade + lasted
	p.requests = p.requests*fade + requests
}

// perSecond of both versions together; 0 when it cannot be told.
func (p *pace) perSecond() float64 {
	if p.lasted <= 0 {
		return 0
	}
	return p.requests / p.lasted
}
