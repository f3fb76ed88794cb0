package analysis

import (
	"fmt"
	"math"

	"github.com/slipway-ci/slipway/deploy"
)

// Bake judges a version that has all users, so that nothing runs beside it:
// after a blue-green switch, or after a promotion. It compares its errors with
// those that were recorded of the version before. It may be asked at any time,
// as Sequential may; what it cannot do is tell a bad version from a bad hour,
// because nobody went through the same hour. Therefore it tolerates Margin.
type Bake struct {
	// Measure is whose errors, as Measure.Name; empty means all traffic.
	Measure string
	// History is what the version before did.
	History deploy.Traffic
	// Alpha is the chance of reverting a version that is worse by at most
	// Margin; zero means DefaultAlpha.
	Alpha float64
	// AlphaPromote is the chance of passing one that is worse by Margin or
	// more; zero means DefaultAlphaPromote.
	AlphaPromote float64
	// Margin is in percentage points; zero means DefaultMargin.
	Margin deploy.Percent
	// Dispersion is of error counts between hours, or groups of clients: how
	// many times more they vary than independent requests would. Below 1
	// counts as 1.
	Dispersion float64

	clock clock
	pace  pace
	past  *past
	end   *Verdict
}

var _ Judge = (*Bake)(nil)

// Observe takes the next sample, of which Live is not looked at. It answers
// Advance once it has been shown that the version is not worse by Margin. After
// a Revert the verdict stays the same.
func (b *Bake) Observe(s Sample) Verdict {
	if b.end != nil {
		return *b.end
	}
	if b.past == nil {
		b.prepare()
	}
	began, at := b.clock.tick(s)
	failed := float64(min(s.Candidate.Errors, s.Candidate.Requests))
	b.pace.batch(at-began, float64(s.Candidate.Requests))
	b.past.add(failed, float64(s.Candidate.Requests)-failed, began, at)
	v := b.decide()
	if v.Decision == Revert {
		b.end = &v
	}
	return v
}

func (b *Bake) prepare() {
	b.Alpha, b.AlphaPromote = between(b.Alpha, DefaultAlpha), between(b.AlphaPromote, DefaultAlphaPromote)
	if !(b.Margin > 0) {
		b.Margin = DefaultMargin
	}
	failed := float64(min(b.History.Errors, b.History.Requests))
	part := min(1, mostHistory/max(float64(b.History.Requests), 1))
	b.past = newPast(part*failed, part*(float64(b.History.Requests)-failed), min(b.Margin.Fraction(), widest))
	if b.Dispersion > 1 && !math.IsInf(b.Dispersion, 0) {
		b.past.dispersion = b.Dispersion
	}
}

func (b *Bake) decide() Verdict {
	p := b.past
	log := p.worse()
	v := Verdict{Decision: Continue, Metric: named(b.Measure, kindErrors), Evidence: evidence(log), ETA: Unknown}
	tally := fmt.Sprintf("%s %s against %s on the version before, after %.0f requests in %s",
		v.Metric, percent(p.trail.candidate[1], total(p.trail.candidate)), percent(p.failed, p.failed+p.good), total(p.trail.candidate), duration(seconds(p.trail.at-p.trail.began)))
	switch {
	case p.failed+p.good == 0:
		v.Why = "not known yet: nothing is recorded of the version before"
	case log >= math.Log(1/b.Alpha):
		v.Decision, v.ETA = Revert, 0
		v.Why = fmt.Sprintf("%s%s; chance of this on a version that is at most %s worse below 1 in %s", tally, p.latest(), points(float64(b.Margin)), atMost(v.Evidence))
	case total(p.trail.candidate) == 0:
		v.Why = "not known yet: no user request has reached the new version"
	case p.shown >= math.Log(1/b.AlphaPromote):
		v.Decision, v.ETA = Advance, 0
		v.Why = fmt.Sprintf("%s; shown, with a chance of at most 1 in %s to be wrong, that they are at most %s worse", tally, atMost(1/b.AlphaPromote), points(float64(b.Margin)))
	default:
		v.Why = fmt.Sprintf("not known yet: %s; too few to show that they are at most %s worse", tally, points(float64(b.Margin)))
	}
	return v
}

// mostHistory is how many requests are made use of; more of them say nothing
// more, and logarithms of their likelihood lose their last digits.
const mostHistory = 1e9

// past compares a stream of requests with a count that is over. The likelihood
// of all under a mixture of ways to be worse, over the largest likelihood that
// any pair of versions gives it which is not, is at most the likelihood ratio
// against the true pair, which is a martingale: so its limits hold at any time
// (Wasserman, Ramdas, Balakrishnan: Universal inference, 2020).
type past struct {
	failed, good float64
	margin       float64
	dispersion   float64
	wealth       wealth
	experts      []expert
	live         live
	ratios       []float64
	// trail are all requests of the new version, recent those since it began to
	// fail more than it may.
	trail, recent trail
	// recorded is how likely the history is; see mixed.
	recorded float64
	// shown is the most evidence that there was for a version that is not worse.
	shown float64
}

func newPast(failed, good, margin float64) *past {
	p := &past{failed: failed, good: good, margin: margin, dispersion: 1, experts: errorExperts(), live: newLive(2), ratios: make([]float64, 2), trail: newTrail(2), recent: newTrail(2)}
	p.wealth = newWealth(p.experts, 0)
	p.live.expect([]float64{good, failed}, []float64{priorRequests - priorFailed, priorFailed})
	p.recorded = mixed(failed, good)
	return p
}

// mixed is the logarithm of how likely such counts are where nothing is known of
// the share of errors beforehand, by Krichevsky and Trofimov.
func mixed(failed, good float64) float64 {
	return logBeta(failed+0.5, good+0.5) - logBeta(0.5, 0.5)
}

func logBeta(a, b float64) float64 {
	lgamma := func(x float64) float64 { v, _ := math.Lgamma(x); return v }
	return lgamma(a) + lgamma(b) - lgamma(a+b)
}

// add takes a batch of the new version.
func (p *past) add(failed, good, began, at float64) {
	p.wealth.until(began)
	batch := []float64{good, failed}
	none := []float64{0, 0}
	for j, e := range p.experts {
		e.ratios(&p.live, p.ratios)
		p.wealth.grow(j, gain(p.ratios, batch, none, 0))
	}
	for k, n := range batch {
		p.trail.candidate[k] += n
	}
	p.trail.at = at
	may := p.margin + p.failed/max(p.failed+p.good, 1)
	p.recent.follow(failed-may*(failed+good), began, at, batch, none)
	p.shown = max(p.shown, p.better())
}

// latest tells of a version that was good at first what it has failed since: its
// share of all that it ever got hides that.
func (p *past) latest() string {
	failed, n := p.recent.candidate[1], total(p.recent.candidate)
	if all := total(p.trail.candidate); n == 0 || failed/n < 2*p.trail.candidate[1]/all {
		return ""
	}
	return fmt.Sprintf(", and %s of the last %.0f", percent(failed, n), n)
}

// alike is the logarithm of how likely all is if the new version is as the old
// one, before anything is known of that.
func (p *past) alike() float64 {
	return p.recorded + times(p.trail.candidate[1], math.Log(p.live.mass[1])) + times(p.trail.candidate[0], math.Log(p.live.mass[0]))
}

// worse is the evidence for a version that is worse by more than the margin, as
// a logarithm: the mean of what two ways of expecting its errors say. The experts
// see what is a little worse soonest. They expect multiples of the errors before;
// where those were next to none, they know nothing of 10%, and who expects any
// share does.
func (p *past) worse() float64 {
	experts := p.wealth.log() + p.alike()
	anything := p.recorded + mixed(p.trail.candidate[1], p.trail.candidate[0])
	likelihood := logAdd(experts, anything) - math.Ln2
	return (likelihood - p.likeliest(func(c, l float64) bool { return c <= l+p.margin })) / p.dispersion
}

// better is the evidence for one that is worse by less.
func (p *past) better() float64 {
	return (p.alike() - p.likeliest(func(c, l float64) bool { return c >= l+p.margin })) / p.dispersion
}

// likeliest is the largest log likelihood of all on one side of the margin: of
// the shares that were seen if they are on it, else of a pair at the margin.
func (p *past) likeliest(on func(c, l float64) bool) float64 {
	n, h := total(p.trail.candidate), p.failed+p.good
	if n == 0 || h == 0 {
		return logLikelihood(p.failed, p.good, p.failed/max(h, 1)) + logLikelihood(p.trail.candidate[1], p.trail.candidate[0], p.trail.candidate[1]/max(n, 1))
	}
	c, l := p.trail.candidate[1]/n, p.failed/h
	if !on(c, l) {
		inside := func(x float64) float64 { return min(max(x, tiny), 1-tiny) }
		l = nearest(inside(c), inside(l), p.margin, n/(n+h))
		c = l + p.margin
	}
	return logLikelihood(p.failed, p.good, l) + logLikelihood(p.trail.candidate[1], p.trail.candidate[0], c)
}

func logLikelihood(failed, good, share float64) float64 {
	return times(failed, math.Log(share)) + times(good, math.Log1p(-share))
}
