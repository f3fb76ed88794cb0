package analysis

import (
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Condition is asked about the traffic of one measurement: all that came since
// the measurement before. An error means that nothing could be measured.
type Condition func(Sample) (bool, error)

// Thresholds are fixed rules in the terms and with the counting of an analysis
// metric of Argo Rollouts, for those who come from there: analysis/analysis.go
// and utils/evaluate/evaluate.go of argoproj/argo-rollouts, and its manual at
// argo-rollouts.readthedocs.io/en/stable/features/analysis. A limit is broken
// when it is exceeded. One thing is different: an analysis that ends before it
// has measured anything does not pass.
type Thresholds struct {
	// Metric is the name it is told by.
	Metric string
	// Measure is what the conditions are about; empty means all traffic. Samples
	// that tell nothing of it are no occasion to measure.
	Measure string
	// Success and Failure are conditions of a measurement. With one of them
	// the other is its opposite; with both, a measurement that meets neither is
	// inconclusive; with none, every measurement succeeds.
	Success, Failure Condition
	// Count of measurements after which the analysis is successful. Zero means
	// one, or no end where there is an Interval.
	Count int
	// Interval between measurements.
	Interval time.Duration
	// InitialDelay before the first measurement.
	InitialDelay time.Duration
	// FailureLimit is how many measurements may fail: more revert.
	FailureLimit int
	// InconclusiveLimit is how many may be inconclusive: more hold.
	InconclusiveLimit int
	// ConsecutiveErrorLimit is how many in a row may not be measurable: more
	// revert. Nil means 4.
	ConsecutiveErrorLimit *int

	clock clock
	sum   Sample
	// next measurement in seconds since the rollout began.
	next  float64
	began bool
	// met: the candidate has, or has had, users.
	met   bool
	tally tally
	end   *Verdict
}

// tally counts measurements as Argo Rollouts does: errors are no measurements.
type tally struct {
	failed, inconclusive, successful int
	errors                           int // in a row
	last                             string
}

func (t tally) measured() int { return t.failed + t.inconclusive + t.successful }

const (
	defaultConsecutiveErrorLimit = 4
	// errorRetry is when a measurement is tried again where no Interval is set.
	errorRetry = 10 * time.Second
)

var _ Judge = (*Thresholds)(nil)

// Validate refuses what Argo Rollouts refuses, too.
func (t *Thresholds) Validate() error {
	switch {
	case t.Count < 0 || t.Interval < 0 || t.InitialDelay < 0:
		return deploy.Usage("leave out what is negative", "metric %q has a negative count, interval or initialDelay", t.Metric)
	case t.Count > 1 && t.Interval == 0:
		return deploy.Usage("give it an interval such as 1m, or a count of 1", "metric %q has a count of %d and no interval", t.Metric, t.Count)
	case t.Count > 0 && t.Count < t.FailureLimit:
		return deploy.Usage("give it a smaller failureLimit", "metric %q can never fail: its failureLimit of %d is above its count of %d", t.Metric, t.FailureLimit, t.Count)
	case t.Count > 0 && t.Count < t.InconclusiveLimit:
		return deploy.Usage("give it a smaller inconclusiveLimit", "metric %q can never be inconclusive: its inconclusiveLimit of %d is above its count of %d", t.Metric, t.InconclusiveLimit, t.Count)
	}
	return nil
}

// Observe adds the sample and measures when it is time. After the limits have
// decided the verdict stays the same.
func (t *Thresholds) Observe(s Sample) Verdict {
	if t.end != nil {
		return *t.end
	}
	_, at := t.clock.tick(s)
	if s.Part == PartCounts && t.Measure != "" || s.Part == PartMetrics && t.Measure == "" {
		return t.assess(at)
	}
	t.sum = joined(t.sum, s)
	t.met = t.met || s.Share > 0
	if !t.began {
		t.began, t.next = true, t.InitialDelay.Seconds()
	}
	if at >= t.next {
		t.measure()
		t.next = at + t.pause().Seconds()
	}
	v := t.assess(at)
	if v.Decision == Revert || v.Decision == Hold || t.done() {
		t.end = &v
	}
	return v
}

// pause is how long it is to the next measurement.
func (t *Thresholds) pause() time.Duration {
	if t.Interval > 0 {
		return t.Interval
	}
	return errorRetry
}

// effectiveCount is the number of measurements that end the analysis; zero
// means none does.
func (t *Thresholds) effectiveCount() int {
	if t.Count == 0 && t.Interval <= 0 {
		return 1
	}
	return t.Count
}

func (t *Thresholds) done() bool {
	n := t.effectiveCount()
	return n > 0 && t.tally.measured() >= n
}

// measure asks the conditions about all that came since the last measurement.
func (t *Thresholds) measure() {
	phase, err := t.evaluate(t.sum)
	t.sum = Sample{}
	if err != nil {
		t.tally.last = fmt.Sprintf("could not be measured: %s", err)
		if t.met {
			t.tally.errors++ // a version that starts without users has done nothing yet
		}
		return
	}
	t.tally.errors = 0
	t.tally.last = string(phase)
	switch phase {
	case failed:
		t.tally.failed++
	case inconclusive:
		t.tally.inconclusive++
	case successful:
		t.tally.successful++
	}
}

// phase is what one measurement came to.
type phase string

const (
	successful   phase = "successful"
	failed       phase = "failed"
	inconclusive phase = "inconclusive"
)

// evaluate asks both conditions about one measurement.
func (t *Thresholds) evaluate(s Sample) (phase, error) {
	ask := func(c Condition) (bool, error) {
		if c == nil {
			return false, nil
		}
		return c(s)
	}
	success, err := ask(t.Success)
	if err != nil {
		return "", err
	}
	failure, err := ask(t.Failure)
	if err != nil {
		return "", err
	}
	switch {
	case t.Success == nil:
		success = !failure
	case t.Failure == nil:
		failure = !success
	}
	switch {
	case failure:
		return failed, nil
	case success:
		return successful, nil
	}
	return inconclusive, nil
}

// assess holds the tally against the limits, in the order of Argo Rollouts.
func (t *Thresholds) assess(at float64) Verdict {
	v := Verdict{Decision: Continue, Metric: t.Metric, ETA: t.left(at)}
	errorLimit := defaultConsecutiveErrorLimit
	if t.ConsecutiveErrorLimit != nil {
		errorLimit = *t.ConsecutiveErrorLimit
	}
	n := t.tally
	switch {
	case n.failed > t.FailureLimit:
		v.Decision, v.ETA, v.Why = Revert, 0, fmt.Sprintf("%d of %d measurements of %s failed, the failureLimit is %d", n.failed, n.measured(), t.Metric, t.FailureLimit)
	case n.inconclusive > t.InconclusiveLimit:
		v.Decision, v.ETA, v.Why = Hold, Unknown, fmt.Sprintf("%d of %d measurements of %s were inconclusive, the inconclusiveLimit is %d", n.inconclusive, n.measured(), t.Metric, t.InconclusiveLimit)
	case n.errors > errorLimit:
		v.Decision, v.ETA, v.Why = Revert, 0, fmt.Sprintf("%s %s; this was number %d in a row, the consecutiveErrorLimit is %d", t.Metric, n.last, n.errors, errorLimit)
	case n.measured() == 0:
		v.Why = "not known yet: " + t.Metric + " has not been measured"
		if n.last != "" {
			v.Why = "not known yet: " + t.Metric + " " + n.last
		}
	case t.done() || t.effectiveCount() == 0:
		v.Decision, v.ETA, v.Why = Advance, 0, fmt.Sprintf("%d of %d measurements of %s were successful", n.successful, n.measured(), t.Metric)
	default:
		v.Why = fmt.Sprintf("not known yet: %d of %d measurements of %s are made, the last one %s", n.measured(), t.effectiveCount(), t.Metric, n.last)
	}
	return v
}

// left is how long it takes until enough has been measured.
func (t *Thresholds) left(at float64) time.Duration {
	more := max(t.effectiveCount(), 1) - t.tally.measured()
	if more <= 0 {
		return 0
	}
	return seconds(max(t.next-at, 0)) + time.Duration(more-1)*t.pause()
}
