package analysis

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// ResourceLimit lets a candidate pass that does not need much more of a
// resource than the live version: "CPU above 1.5 times the live version's
// reverts". It looks at a gauge. Readings of a gauge are not independent of one
// another, so nothing is computed from their number: the candidate has to be
// above the limit in every reading, for a while. One spike does not revert.
//
// The gauge is meant per replica, or per request: a version with a twentieth of
// the users needs less of everything. It must not be used by two goroutines.
type ResourceLimit struct {
	// Gauge is its name in the samples, such as "cpu".
	Gauge string
	// Ratio to the live version's reading that must not be exceeded, such as
	// 1.5; zero does not compare.
	Ratio float64
	// Limit must not be exceeded whatever the live version needs; zero means
	// there is none.
	Limit float64
	// Least is what is never too much, so that a version which needs ten times
	// next to nothing is not taken back for it.
	Least float64
	// For is how long it has to be exceeded, in every reading; zero means a
	// minute.
	For time.Duration
	// WarmUp is how long after the rollout began readings are not judged.
	WarmUp time.Duration
	// Unit is said behind readings, such as "cores"; may be empty.
	Unit string
	// Against is what people call what the candidate is compared with; empty
	// means the live version.
	Against string

	clock clock
	last  Gauge
	// read is when the last reading came, over since when all are above the
	// limit; below zero means never.
	began      bool
	read, over float64
	// above are the readings since over.
	above int
	end   *Verdict
}

const (
	defaultResourceFor = time.Minute
	// leastReadings that have to be above the limit.
	leastReadings = 3
)

var _ Judge = (*ResourceLimit)(nil)

// Validate refuses a limit that limits nothing.
func (j *ResourceLimit) Validate() error {
	switch {
	case j.Gauge == "":
		return deploy.Usage("name the metric whose readings are meant", "a limit of a resource names no metric")
	case !(j.Ratio >= 0) || !(j.Limit >= 0) || !(j.Least >= 0) || j.For < 0 || j.WarmUp < 0:
		return deploy.Usage("leave out what is negative", "the limit of %s has a negative number", j.Gauge)
	case j.Ratio == 0 && j.Limit == 0:
		return deploy.Usage("give it a ratio such as 1.5, or a limit", "the limit of %s has neither a ratio nor a limit", j.Gauge)
	}
	return nil
}

// Observe takes the next reading, where the sample has one. It answers Hold as
// soon as the limit is exceeded, Revert once it has been for long enough, and
// Advance while it is not. Without a recent reading it does not pass. After a
// Revert the verdict stays the same.
func (j *ResourceLimit) Observe(s Sample) Verdict {
	if j.end != nil {
		return *j.end
	}
	if !j.began {
		j.began, j.read, j.over = true, -1, -1
	}
	_, at := j.clock.tick(s)
	j.take(gaugeOf(s, j.Gauge), at)
	v := j.assess(s, at)
	if v.Decision == Revert {
		j.end = &v
	}
	return v
}

// take remembers a reading. One of which half is missing says nothing.
func (j *ResourceLimit) take(g Gauge, at float64) {
	if !finiteNumber(g.Candidate) || j.Ratio > 0 && !finiteNumber(g.Live) {
		return
	}
	j.last, j.read = g, at
	switch {
	case at <= j.WarmUp.Seconds() || j.excess() == "":
		j.over, j.above = -1, 0
		return
	case j.over < 0:
		j.over = at
	}
	j.above++
}

// excess says which limit the last reading is above; empty for none.
func (j *ResourceLimit) excess() string {
	c := j.last.Candidate
	switch {
	case c <= j.Least:
		return ""
	case j.Limit > 0 && c > j.Limit:
		return "the limit is " + j.amount(j.Limit)
	case j.Ratio > 0 && c > j.Ratio*j.last.Live:
		return fmt.Sprintf("the limit is %s times as much", number(j.Ratio))
	}
	return ""
}

func (j *ResourceLimit) assess(s Sample, at float64) Verdict {
	v := Verdict{Metric: j.Gauge, Decision: Continue, ETA: Unknown}
	lasting := j.lasting().Seconds()
	switch {
	case j.read < 0 && s.Share == 0:
		v.Decision, v.ETA, v.Why = Advance, 0, "no users are sent to the new version at this stage"
	case j.read < 0:
		v.Why = fmt.Sprintf("not known yet: %s has not been measured of both versions", j.Gauge)
	case at-j.read > 2*lasting:
		v.Why = fmt.Sprintf("not known: %s was last measured %s ago", j.Gauge, seconds(at-j.read).Round(time.Second))
	case at <= j.WarmUp.Seconds():
		v.ETA = seconds(j.WarmUp.Seconds() - at)
		v.Why = fmt.Sprintf("not known yet: %s is not judged in the first %s", j.Gauge, j.WarmUp)
	case j.over < 0:
		v.Decision, v.ETA, v.Why = Advance, 0, j.told()
	case j.read-j.over >= lasting && j.above >= leastReadings:
		v.Decision, v.ETA = Revert, 0
		v.Why = fmt.Sprintf("%s; %s, it was exceeded in %d readings over %s", j.told(), j.excess(), j.above, seconds(j.read-j.over).Round(time.Second))
	default:
		v.Decision, v.ETA = Hold, seconds(max(lasting-(j.read-j.over), 0))
		v.Why = fmt.Sprintf("%s; %s, it reverts when this lasts for %s", j.told(), j.excess(), j.lasting())
	}
	return v
}

func (j *ResourceLimit) lasting() time.Duration {
	if j.For == 0 {
		return defaultResourceFor
	}
	return j.For
}

// told is the last reading in words.
func (j *ResourceLimit) told() string {
	if !finiteNumber(j.last.Live) {
		return fmt.Sprintf("%s %s on the new version", j.Gauge, j.amount(j.last.Candidate))
	}
	return fmt.Sprintf("%s %s against %s on %s", j.Gauge, j.amount(j.last.Candidate), j.amount(j.last.Live), against(j.Against))
}

// amount is a reading with its unit; large ones with a prefix.
func (j *ResourceLimit) amount(x float64) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T"} {
		if x < 1e4 && x > -1e4 {
			break
		}
		x, prefix = x/1e3, p
	}
	return strings.TrimSpace(number(x) + " " + prefix + j.Unit)
}
