package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// maxRates is how many points are kept of an environment, an even number. When
// there are more, each two become one, and points take twice as much from then
// on: a chart of a day is as wide as one of a minute.
const maxRates = 48

// Rate is what the users of both versions got in a part of the rollout.
type Rate struct {
	// At is where the part ended, in seconds since the rollout began.
	At Seconds `json:"at"`
	// Live is what the users of the old version got in it.
	Live Traffic `json:"live"`
	// Candidate is what the users of the new version got in it.
	Candidate Traffic `json:"candidate"`
}

// follow adds what came in since the observation before of the same stage.
func (e *Environment) follow(at time.Time, before, now *Observation) {
	r := Rate{At: seconds(at.Sub(e.Started)), Live: now.Live, Candidate: now.Candidate}
	if before != nil {
		r.Live, r.Candidate = r.Live.less(before.Live), r.Candidate.less(before.Candidate)
	}
	if !e.began() || r.Live.Requests+r.Candidate.Requests == 0 {
		return
	}
	if n := len(e.Rates); n > 0 && e.filled < 1<<e.doubled {
		e.Rates[n-1] = e.Rates[n-1].and(r)
		e.filled++
		return
	}
	e.Rates, e.filled = append(e.Rates, r), 1
	if len(e.Rates) <= maxRates {
		return
	}
	for i := range maxRates / 2 {
		e.Rates[i] = e.Rates[2*i].and(e.Rates[2*i+1])
	}
	e.Rates[maxRates/2] = r
	e.Rates = e.Rates[:maxRates/2+1]
	e.doubled++
}

// and is both parts as one.
func (r Rate) and(next Rate) Rate {
	return Rate{At: next.At, Live: r.Live.plus(next.Live), Candidate: r.Candidate.plus(next.Candidate)}
}

// less is what came after an earlier count; all of it where the count began anew.
func (t Traffic) less(before Traffic) Traffic {
	if before.Requests > t.Requests || before.Errors > t.Errors || before.Lost > t.Lost {
		return t
	}
	return Traffic{Requests: t.Requests - before.Requests, Errors: t.Errors - before.Errors, Lost: t.Lost - before.Lost}
}

func (t Traffic) plus(o Traffic) Traffic {
	return Traffic{Requests: t.Requests + o.Requests, Errors: t.Errors + o.Errors, Lost: t.Lost + o.Lost}
}

// share of the requests that failed.
func (t Traffic) share() float64 {
	if t.Requests == 0 {
		return 0
	}
	return float64(t.Errors) / float64(t.Requests)
}

// bars are from nothing to the highest share of a chart.
var bars = []rune("▁▂▃▄▅▆▇█")

// chart draws which share of the requests to each version failed over time, in
// two lines of the same scale; nil where none failed, or where users did not come
// to both.
func chart(e *Environment) []string {
	if e.Candidate == nil || e.Previous == nil || len(e.Rates) < 2 {
		return nil
	}
	old := e.Previous.Version
	if e.Baseline != nil {
		old += " (baseline)"
	}
	sides := []struct {
		name string
		of   func(Rate) Traffic
	}{
		{e.Candidate.Version, func(r Rate) Traffic { return r.Candidate }},
		{old, func(r Rate) Traffic { return r.Live }},
	}
	highest := 0.0
	for _, side := range sides {
		for _, r := range e.Rates {
			highest = max(highest, side.of(r).share())
		}
	}
	if highest == 0 {
		return nil
	}
	var lines []string
	for _, side := range sides {
		var line strings.Builder
		all, came := Traffic{}, false
		for _, r := range e.Rates {
			t := side.of(r)
			all, came = all.plus(t), came || t.Requests > 0
			line.WriteRune(column(t, highest))
		}
		if !came {
			return nil
		}
		lines = append(lines, fmt.Sprintf("%s %s: %d of %d failed", line.String(), side.name, all.Errors, all.Requests))
	}
	return lines
}

// column is one of a chart; a dot where nobody came.
func column(t Traffic, highest float64) rune {
	if t.Requests == 0 {
		return '·'
	}
	return bars[min(len(bars)-1, int(t.share()/highest*float64(len(bars)-1)+0.5))]
}

// charts draws those of all environments, with the time that they span.
func charts(s *Story) string {
	var parts []string
	for i := range s.Environments {
		e := &s.Environments[i]
		if lines := chart(e); lines != nil {
			parts = append(parts, fmt.Sprintf("Errors in %s, until %s after the start:\n\n%s",
				inline(e.Name, 60), took(e.Rates[len(e.Rates)-1].At.Duration()), fence(lines)))
		}
	}
	return strings.Join(parts, "\n")
}

// verdicts are what the judge said last of each stage that it judged.
func verdicts(s *Story) string {
	var b strings.Builder
	rows := 0
	for i := range s.Environments {
		e := &s.Environments[i]
		for _, stage := range e.Stages {
			o := stage.Observation
			if o == nil || o.Judge == nil || o.Hold == 0 || rows == maxRows {
				continue
			}
			rows++
			fmt.Fprintf(&b, "- %s, %s: %s\n", inline(e.Name, 60), stage.Share, inline(o.Verdict, 500))
		}
	}
	if rows == 0 {
		return ""
	}
	return "What the judge said:\n\n" + b.String()
}

// Judge is what the judge said, besides its reason.
type Judge struct {
	// Decision is continue, hold, advance, revert or promote.
	Decision string `json:"decision"`
	// Metric is what it was decided by, such as errors.
	Metric string `json:"metric,omitempty"`
	// Evidence against the candidate: how many times likelier the numbers are
	// if it is worse than if it is not; absent where there is none.
	Evidence float64 `json:"evidence,omitempty"`
	// ETA is how many more seconds it would have taken; absent where that is
	// not known, or where nothing is missing.
	ETA Seconds `json:"eta,omitempty"`
	// Observed: it decided nothing.
	Observed bool `json:"observed,omitempty"`
}

func judged(v *deploy.Verdict) *Judge {
	if v == nil {
		return nil
	}
	return &Judge{Decision: v.Decision, Metric: v.Metric, Evidence: v.Evidence, ETA: seconds(max(v.ETA, 0)), Observed: v.Observed}
}
