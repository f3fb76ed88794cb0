package deploy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind names a strategy.
type Kind string

// The strategies that the field knows and Slipway does.
const (
	// Recreate stops the old version and starts the new one: the only one
	// with a downtime, for apps that cannot run twice.
	Recreate Kind = "recreate"
	// Rolling replaces replicas in batches.
	Rolling Kind = "rolling"
	// BlueGreen runs both side by side, switches all users at once, and keeps
	// the old side for a while.
	BlueGreen Kind = "blue-green"
	// Canary gives the new version a growing share of the users.
	Canary Kind = "canary"
)

// Kinds are all strategies, in the order in which help texts list them.
var Kinds = []Kind{Recreate, Rolling, BlueGreen, Canary}

// Strategy is a strategy with its settings; those that its Kind does not use
// are ignored.
type Strategy struct {
	Kind Kind `json:"kind"`
	// Steps are the shares of a canary, ascending, the last one 100.
	Steps []Percent `json:"steps,omitempty"`
	// Pace is what makes a canary take its next step; empty means PaceTime.
	Pace Pace `json:"pace,omitempty"`
	// Baseline is what a canary is compared with; empty means BaselineLive.
	Baseline Baseline `json:"baseline,omitempty"`
	// Hold is how long each step of a canary, batch of a rolling or new
	// version of a recreate is watched before the next.
	Hold time.Duration `json:"hold,omitempty"`
	// Batch is how many replicas a rolling replaces at a time; at least 1.
	Batch int `json:"batch,omitempty"`
	// Keep is how long a blue-green keeps the old side after the switch.
	Keep time.Duration `json:"keep,omitempty"`
	// Bake is how long a canary or blue-green that has passed its stages is
	// watched on, while the old version stays up without users; zero is not at
	// all.
	Bake time.Duration `json:"bake,omitempty"`
	// BakeBy is who does it; empty means BakeByRun.
	BakeBy Baker `json:"bakeBy,omitempty"`
	// Approve are the shares of a canary or blue-green at which, once they have
	// passed, a person has to say resume; 0 is before the first user.
	Approve []Percent `json:"approve,omitempty"`
	// Errors is the largest share of 5xx answers of the new version that is
	// let pass, whatever the old version does. NoLimit leaves it to the judge.
	Errors Percent `json:"errors"`
	// Judging is for canary and blue-green.
	Judging Judging `json:"judging,omitzero"`
	// Given are the stages of a target that has its own, in place of Steps and
	// Hold; the first is reached by starting the candidate. See Decider.
	Given []Given `json:"given,omitempty"`
	// Written is what of it somebody has chosen.
	Written Written `json:"-"`
}

// Given is a stage that a target has by itself, before all users have the
// candidate.
type Given struct {
	// Share of the users, below 100%.
	Share Percent `json:"share"`
	// Hold is how long the stage is watched.
	Hold time.Duration `json:"hold"`
}

// Written says which parts of a Strategy are not defaults.
type Written struct{ Kind, Steps bool }

// Judged reports whether users of both versions are compared.
func (s Strategy) Judged() bool { return s.Kind == Canary || s.Kind == BlueGreen }

// Defaults of a Strategy, used where slipway.yaml is silent.
const (
	DefaultKeep   = 30 * time.Second
	DefaultHold   = 30 * time.Second
	DefaultBatch  = 1
	DefaultErrors = Percent(1)
	// NoLimit is a share of errors that nothing exceeds, and the default of the
	// strategies that are judged.
	NoLimit = Percent(100)
)

// DefaultSteps are the shares of a canary that names none.
func DefaultSteps() []Percent { return []Percent{10, 50, 100} }

// DefaultStrategy is used where an environment names none: it loses no
// requests, needs the least of a target, and goes back at once.
func DefaultStrategy() Strategy {
	return Strategy{Kind: BlueGreen}.WithDefaults()
}

// WithDefaults fills in what is left zero for the strategy's Kind.
func (s Strategy) WithDefaults() Strategy {
	if s.Errors == 0 {
		s.Errors = DefaultErrors
		if s.Judged() {
			s.Errors = NoLimit
		}
	}
	if s.Judged() {
		s.Judging = s.Judging.WithDefaults()
	}
	switch s.Kind {
	case Canary:
		if len(s.Steps) == 0 {
			s.Steps = DefaultSteps()
		}
		if s.Hold == 0 {
			s.Hold = DefaultHold
			if s.Pace == PaceEvidence {
				s.Hold = DefaultDwell
			}
		}
	case Rolling:
		if s.Batch == 0 {
			s.Batch = DefaultBatch
		}
	case BlueGreen:
		if s.Keep == 0 {
			s.Keep = DefaultKeep
		}
	}
	return s
}

// By is what is left of a strategy's settings when another kind takes its place.
func (s Strategy) By(k Kind) Strategy {
	other := Strategy{Kind: k}
	if other.Judged() {
		other.Judging = s.Judging
	}
	other = other.WithDefaults()
	if s.Errors < NoLimit {
		other.Errors = s.Errors
	}
	return other
}

// Percent is a share between 0 and 100.
type Percent float64

// String prints 12.5%, with as many decimals as needed.
func (p Percent) String() string {
	return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%"
}

// Fraction is the share between 0 and 1.
func (p Percent) Fraction() float64 { return float64(p) / 100 }

// ParsePercent reads "10%" or "10" as a share between 0 and 100.
func ParsePercent(s string) (Percent, error) {
	number := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), "%"))
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f != f {
		return 0, fmt.Errorf("%q is not a percentage such as 10%%", s)
	}
	if f < 0 || f > 100 {
		return 0, fmt.Errorf("%s is not between 0%% and 100%%", s)
	}
	return Percent(f), nil
}
