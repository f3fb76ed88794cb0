package analysis

import (
	"math"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// mostEvidence is told at most, so that it stays a number.
const mostEvidence = 1e300

// evidence is told from its logarithm.
func evidence(log float64) float64 { return math.Exp(min(log, math.Log(mostEvidence))) }

// decide says what follows from all that was seen.
func (j *Sequential) decide(s Sample, at float64) Verdict {
	log := j.log()
	v := Verdict{Decision: Continue, Evidence: evidence(log), ETA: Unknown}
	switch {
	case len(j.metrics) == 0 || log == math.Inf(-1):
		v.Evidence = 1
		return j.idle(v, s)
	case log >= math.Log(1/j.Alpha):
		guilty := j.guilty()
		v.Decision, v.Metric, v.ETA, v.Why = Revert, guilty.name, 0, j.accusation(guilty, log)
		return v
	case v.Evidence >= doubt:
		guilty := j.guilty()
		v.Decision, v.Metric, v.Why = Hold, guilty.name, j.suspicion(guilty, log)
		return v
	case s.Share == 0 && !j.tried():
		return j.idle(v, s)
	}
	return j.pass(v, at)
}

// idle is the verdict before anybody has used the candidate.
func (j *Sequential) idle(v Verdict, s Sample) Verdict {
	v.Why = "not known yet: " + s.unmet()
	if s.Share == 0 {
		v.Decision, v.ETA, v.Why = Advance, 0, "no users are sent to the new version at this stage"
	}
	return v
}

// tried says whether any metric has seen the candidate.
func (j *Sequential) tried() bool {
	return slices.ContainsFunc(j.metrics, func(m *metric) bool {
		return total(m.judgedCandidate) > 0 || total(m.carriedCandidate) > 0
	})
}

// pass looks whether the present gate opens.
func (j *Sequential) pass(v Verdict, at float64) Verdict {
	if missing := j.missing(); missing != "" {
		v.Metric, v.Why = missing, "not known yet: nothing has been measured of "+missing
		return v
	}
	next := j.gate.next(j.Steps)
	m, c, left := j.slowest(next)
	if c == nil {
		v.Why = "not known yet: nothing is measured that could show that the new version is not worse"
		return v
	}
	v.Metric = m.name
	dwell := time.Duration(math.Ceil((j.Dwell.Seconds() - (at - j.gate.since)) * float64(time.Second)))
	if left != Unknown {
		v.ETA = max(left, dwell, 0)
	}
	switch {
	case !c.shown(j.AlphaPromote) && !j.promoted:
		v.Why = j.unknown(m, c, v.ETA)
	case dwell > 0 && !j.promoted:
		v.Why = j.shown(m, c) + ", which is looked at for " + duration(dwell) + " more"
	default:
		v.Decision, v.ETA, v.Why = Advance, 0, j.shown(m, c)
		j.open(next)
		if next == 100 {
			v.Decision, j.promoted = Promote, true
		}
	}
	return v
}

// missing is a metric that is required and has not been seen.
func (j *Sequential) missing() string {
	for _, r := range j.Rules {
		seen := func(m *metric) bool { return m.name == r.Metric }
		if r.Required && !slices.ContainsFunc(j.metrics, seen) {
			return r.Metric
		}
	}
	return ""
}

// open keeps the gate open: that it has passed was told.
func (j *Sequential) open(next deploy.Percent) {
	for _, m := range j.metrics {
		for i := range m.claims {
			if c := &m.claims[i]; c.next == 0 || c.next == next {
				c.settled = true
			}
		}
	}
}

// slowest is the claim of the gate that has the longest way to go.
func (j *Sequential) slowest(next deploy.Percent) (slow *metric, what *claim, left time.Duration) {
	for _, m := range j.metrics {
		for i := range m.claims {
			c := &m.claims[i]
			if c.next != 0 && c.next != next {
				continue
			}
			l := c.left(j.AlphaPromote, m.pace)
			if what == nil || longer(l, left, c, what) {
				slow, what, left = m, c, l
			}
		}
	}
	return slow, what, left
}

// longer says whether a claim that needs a longer than another needs b.
func longer(a, b time.Duration, one, other *claim) bool {
	switch {
	case a == b:
		return one.log < other.log
	case a == Unknown:
		return true
	case b == Unknown:
		return false
	}
	return a > b
}

// weighted is a metric's evidence with its weight.
type weighted struct{ log, weight float64 }

// guilty is the metric that the evidence is from: the one of which most can be
// said. A metric is to blame for certain when the mean evidence of every set of
// metrics that contains it is enough (closed testing); of several such the
// strongest is named, and where there is none, too.
func (j *Sequential) guilty() *metric {
	best, most := j.metrics[0], math.Inf(-1)
	for _, m := range j.metrics {
		if blame := j.blame(m); blame > most {
			best, most = m, blame
		}
	}
	return best
}

// blame is the logarithm of the smallest mean evidence of the sets of metrics
// that contain this one. The smallest mean is found by taking others in from
// the smallest on, as long as they pull it down.
func (j *Sequential) blame(m *metric) float64 {
	j.scratch = j.scratch[:0]
	for _, other := range j.metrics {
		if other != m {
			j.scratch = append(j.scratch, weighted{other.wealth.log(), other.rule.Weight})
		}
	}
	slices.SortFunc(j.scratch, func(a, b weighted) int {
		switch {
		case a.log < b.log:
			return -1
		case a.log > b.log:
			return 1
		}
		return 0
	})
	sum, weights := m.wealth.log()+math.Log(m.rule.Weight), m.rule.Weight
	for _, o := range j.scratch {
		if o.log >= sum-math.Log(weights) {
			break
		}
		sum = logAdd(sum, o.log+math.Log(o.weight))
		weights += o.weight
	}
	return sum - math.Log(weights)
}
