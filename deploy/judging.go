package deploy

import "time"

// Judging says how what users get decides about a rollout: those of a canary,
// and of a blue-green after its switch. Its zero value judges with the defaults.
type Judging struct {
	// Observe tells what the judge would decide, and leaves the decision to
	// the strategy's limit on errors.
	Observe bool `json:"observe,omitempty"`
	// Alpha is the chance of reverting a candidate that is not worse, above 0
	// and below 100%.
	Alpha Percent `json:"alpha,omitempty"`
	// Margin is by how many percentage points the share of errors of all users
	// may rise unseen.
	Margin Percent `json:"margin,omitempty"`
	// LatencyRatio is by how much quantiles of durations may rise unseen; above 1.
	LatencyRatio float64 `json:"latencyRatio,omitempty"`
	// WarmUp is how long after the first user durations are not judged. Below
	// zero means not at all: zero is the default.
	WarmUp time.Duration `json:"warmUp,omitempty"`
	// MaxHold is the longest time that a stage is watched when its Hold is over
	// and it is not known yet whether it may pass. Zero means DefaultMaxHold,
	// but for a stage at its own pace that no user has come to: that one has
	// nothing to wait for.
	MaxHold time.Duration `json:"maxHold,omitempty"`
	// OnUnknown is what is done then. Empty means OnUnknownHold, but that a
	// blue-green passes without users.
	OnUnknown OnUnknown `json:"onUnknown,omitempty"`
	// Metrics are looked at besides the requests that the target counts.
	Metrics []Metric `json:"metrics,omitempty"`
}

// OnUnknown is what is done with a candidate of which it is not known whether
// it is worse.
type OnUnknown string

// What can be done.
const (
	// OnUnknownHold leaves the rollout as it stands until a person decides.
	OnUnknownHold OnUnknown = "hold"
	// OnUnknownRevert goes back.
	OnUnknownRevert OnUnknown = "revert"
	// OnUnknownPromote goes on, and says that it was not known.
	OnUnknownPromote OnUnknown = "promote"
)

// OnUnknowns are all, in the order in which help texts list them.
var OnUnknowns = []OnUnknown{OnUnknownHold, OnUnknownRevert, OnUnknownPromote}

// Pace is what makes a canary take its next step.
type Pace string

// The paces.
const (
	// PaceTime is the strategy's Hold. It is the default.
	PaceTime Pace = "time"
	// PaceEvidence is proof that the candidate is not worse; Hold is the least
	// time of a step.
	PaceEvidence Pace = "evidence"
)

// Paces are all, in the order in which help texts list them.
var Paces = []Pace{PaceTime, PaceEvidence}

// Baseline is what the users of a canary's candidate are compared with.
type Baseline string

// The baselines.
const (
	// BaselineLive are the users of the live version. It is the default.
	BaselineLive Baseline = "live"
	// BaselineFresh are the users of replicas of the live version that were
	// started for the purpose: as many and as fresh as the candidate's, and with
	// as large a share of the users. It needs a Baseliner.
	BaselineFresh Baseline = "fresh"
)

// Baselines are all, in the order in which help texts list them.
var Baselines = []Baseline{BaselineLive, BaselineFresh}

// Baker is who watches a version on that has passed its stages.
type Baker string

// The bakers.
const (
	// BakeByRun is the run that has brought it in: it goes on until then.
	BakeByRun Baker = "run"
	// BakeBySchedule are later runs of reap, which find it in the journal. The
	// run that has brought it in ends at once.
	BakeBySchedule Baker = "schedule"
)

// Bakers are all, in the order in which help texts list them.
var Bakers = []Baker{BakeByRun, BakeBySchedule}

// Defaults of Judging, used where slipway.yaml is silent.
const (
	DefaultAlpha        = Percent(1)
	DefaultMargin       = Percent(0.1)
	DefaultLatencyRatio = 1.25
	DefaultWarmUp       = 30 * time.Second
	DefaultMaxHold      = 30 * time.Minute
	// DefaultDwell is the Hold of a canary whose pace is evidence.
	DefaultDwell = 15 * time.Second
)

// WithDefaults fills in what is left zero, but for MaxHold and OnUnknown, whose
// defaults depend on the strategy.
func (j Judging) WithDefaults() Judging {
	if j.Alpha == 0 {
		j.Alpha = DefaultAlpha
	}
	if j.Margin == 0 {
		j.Margin = DefaultMargin
	}
	if j.LatencyRatio == 0 {
		j.LatencyRatio = DefaultLatencyRatio
	}
	if j.WarmUp == 0 {
		j.WarmUp = DefaultWarmUp
	}
	return j
}

// Verdict is what the judge says of a stage so far.
type Verdict struct {
	// Decision is continue, hold, advance, revert or promote.
	Decision string `json:"decision"`
	// Metric is what it is decided by, such as errors.
	Metric string `json:"metric,omitempty"`
	// Evidence against the candidate: how many times likelier the numbers are
	// if it is worse than if it is not. Zero where there is no such number.
	Evidence float64 `json:"evidence,omitempty"`
	// ETA is how much longer the stage will take at the present traffic, below
	// zero where nothing can be said.
	ETA time.Duration `json:"eta,omitempty"`
	// Observed: it decides nothing.
	Observed bool `json:"observed,omitempty"`
}
