package analysis

import (
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Judge says, after each sample of a stage, what it knows.
type Judge interface {
	Observe(Sample) Verdict
}

// Sample is what came in since the one before it.
type Sample struct {
	// At is how long the rollout has lasted at the end of the sample, all of
	// its stages together. Where it is zero, it is added up from Elapsed.
	At time.Duration
	// Elapsed since the stage's share was reached.
	Elapsed time.Duration
	// Part is what the sample tells of.
	Part Part
	// Share that the candidate is meant to have.
	Share deploy.Percent
	// LiveShare is that of Live; zero means all that the candidate has not.
	LiveShare       deploy.Percent
	Live, Candidate deploy.Traffic
	// Uncounted: the target does not count for Live and Candidate, so that their
	// zeros say nothing.
	Uncounted bool
	// Others are metrics besides the traffic as a whole, in any order.
	Others []Measure
	// Gauges are readings that are no counts, in any order.
	Gauges []Gauge
	// Dispersion is how many times more the error counts of groups of clients of
	// the same version vary than independent requests would, as far as is known;
	// see Dispersed. Zero means as before, below 1 counts as 1. How errors are
	// spread over groups says nothing of how many there are, so that what the
	// present sample shows of it may be used for the sample.
	Dispersion float64
}

// unmet says that no request to the candidate is known.
func (s Sample) unmet() string {
	if s.Uncounted {
		return "no user request to the new version has been counted"
	}
	return "no user request has reached the new version"
}

// split is the candidate's part of the users of both sides, between 0 and 1.
func (s Sample) split() float64 {
	if both := s.Share + s.LiveShare; s.LiveShare > 0 && both > 0 {
		return float64(s.Share / both)
	}
	return s.Share.Fraction()
}

// Part is what a sample tells of. What nobody asked about has not been nothing.
type Part string

// The parts.
const (
	// PartWhole tells of all.
	PartWhole Part = ""
	// PartCounts tells of Live and Candidate alone.
	PartCounts Part = "counts"
	// PartMetrics tells of Others and Gauges alone.
	PartMetrics Part = "metrics"
)

// Measure is one more metric of a sample: the traffic of one route, or events
// that nobody counts the occasions of, such as restarts or lines in a log.
// Events are Errors without Requests; they are held against the share that the
// requests of the sample had.
type Measure struct {
	Name            string
	Live, Candidate deploy.Traffic
}

// Decision is what a verdict asks for.
type Decision string

// The decisions.
const (
	// Continue: nothing is wrong, and it is not known yet that all is well.
	Continue Decision = "continue"
	// Hold: something looks wrong, and it is not certain. The share must not
	// grow meanwhile.
	Hold Decision = "hold"
	// Advance: the stage may end.
	Advance Decision = "advance"
	// Revert: the candidate is worse than is allowed.
	Revert Decision = "revert"
	// Promote: the last gate has passed, the candidate may have all users.
	Promote Decision = "promote"
)

// Verdict is a decision with its reason.
type Verdict struct {
	Decision Decision
	// Metric is what decided, such as "errors".
	Metric string
	// Evidence is against the candidate: how many times likelier the numbers
	// are if it is worse than if it is not. On a version that is not worse it
	// reaches x at any time with a chance of at most 1 in x. Zero where a judge
	// has no such number.
	Evidence float64
	// ETA is how much longer the present gate will take at the present
	// traffic: zero when it has decided, Unknown when nothing can be said.
	ETA time.Duration
	// Why is one sentence with numbers.
	Why string
}

// Unknown is an ETA of which nothing can be said.
const Unknown time.Duration = -1
