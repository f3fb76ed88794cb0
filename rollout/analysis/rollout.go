package analysis

import (
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Rollout judges a rollout from its first user to its last stage: by Beside
// while users are on both versions, and by Bake once all of them are on the
// candidate and nothing runs beside it any more. The live version's past, what
// it did beside the candidate included, is what that compares with; where there
// is none, more errors than deploy.DefaultErrors are too many.
type Rollout struct {
	Beside *Sequential
	// History is what the live version did before the rollout.
	History deploy.Traffic
	// Limit is the largest share of errors that is let pass, whatever the live
	// version does; deploy.NoLimit is none.
	Limit deploy.Percent
	// Others have a say in every stage, each by rules of its own.
	Others []Judge

	begun bool
	alone Judge
	// at is when the last sample ended, since when that of the first one alone
	// began.
	at, since time.Duration
	fixed     []Judge
	end       *Verdict
}

var _ Judge = (*Rollout)(nil)

// aloneMargin is by how many percentage points more of a version that runs
// alone may fail than of the one before it. It is wider than what two versions
// that run side by side are held to: a bad hour looks like a bad version.
const aloneMargin = deploy.DefaultErrors

// Observe takes the next sample. After a Revert the verdict stays the same.
func (r *Rollout) Observe(s Sample) Verdict {
	if r.end != nil {
		return *r.end
	}
	r.begin()
	v := r.judge(s)
	for _, j := range r.fixed {
		if l := j.Observe(s); gravity(l.Decision) > gravity(v.Decision) {
			v = l
		}
	}
	if v.Decision == Revert {
		r.end = &v
	}
	return v
}

func (r *Rollout) begin() {
	if r.begun {
		return
	}
	r.begun = true
	if r.Limit < deploy.NoLimit {
		r.fixed = append(r.fixed, NewErrorLimit(r.Limit))
	}
	r.fixed = append(r.fixed, r.Others...)
	if r.History.Requests > 0 {
		r.Beside.Remember(r.History)
	}
}

// judge asks who can tell.
func (r *Rollout) judge(s Sample) Verdict {
	defer func(at time.Duration) { r.at = at }(s.At)
	if s.Share < 100 {
		r.History.Requests += s.Live.Requests
		r.History.Errors += s.Live.Errors
		return r.Beside.Observe(s)
	}
	if r.alone == nil {
		r.alone, r.since = r.last(), r.at
	}
	s.At -= r.since
	return r.alone.Observe(s)
}

// last judges the stage in which all users are on the candidate.
func (r *Rollout) last() Judge {
	if r.History.Requests == 0 {
		return NewErrorLimit(deploy.DefaultErrors)
	}
	return &Bake{
		History: r.History, Alpha: r.Beside.Alpha, AlphaPromote: r.Beside.AlphaPromote,
		Margin: max(r.Beside.Margin, aloneMargin), Dispersion: r.Beside.Dispersion,
	}
}
