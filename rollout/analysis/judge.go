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
	// Elapsed since the stage's share was reached.
	Elapsed time.Duration
	// Share that the candidate is meant to have.
	Share           deploy.Percent
	Live, Candidate deploy.Traffic
}

// Decision is what a verdict asks for.
type Decision string

// The decisions.
const (
	// Continue: nothing is wrong, and the time has not come to say more.
	Continue Decision = "continue"
	// Advance: the stage may end.
	Advance Decision = "advance"
	// Revert: the candidate is worse than is allowed.
	Revert Decision = "revert"
)

// Verdict is a decision with its reason.
type Verdict struct {
	Decision Decision
	// Metric is what decided, such as "errors".
	Metric string
	// Why is one sentence with numbers.
	Why string
}
