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
	// Past is what the live version did by metrics besides all traffic that count
	// requests, by their names: before the rollout, and beside the candidate.
	Past map[string]deploy.Traffic

	begun bool
	alone Judge
	// apart are like alone, each for one metric of Past.
	apart map[string]*Bake
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
		for _, o := range s.Others {
			r.remember(o)
		}
		return r.Beside.Observe(s)
	}
	if r.alone == nil {
		r.alone, r.since = r.last(), r.at
	}
	s.At -= r.since
	v := r.alone.Observe(s)
	for _, o := range s.Others {
		if b := r.apart[o.Name]; b != nil {
			own := b.Observe(Sample{At: s.At, Elapsed: s.Elapsed, Share: s.Share, Candidate: o.Candidate})
			if own.Decision == Revert && v.Decision != Revert {
				v = own
			}
		}
	}
	return v
}

// remember adds to the past of a metric that counts requests.
func (r *Rollout) remember(o Measure) {
	if o.Name == "" || o.Live.Requests == 0 {
		return
	}
	if r.Past == nil {
		r.Past = map[string]deploy.Traffic{}
	}
	t := r.Past[o.Name]
	t.Requests, t.Errors = t.Requests+o.Live.Requests, t.Errors+o.Live.Errors
	r.Past[o.Name] = t
}

// last judges the stage in which all users are on the candidate.
func (r *Rollout) last() Judge {
	// Several tests share the chance of being wrong, as metrics share the evidence
	// while both versions have users.
	alpha := between(r.Beside.Alpha, DefaultAlpha) / float64(errorWeight+len(r.Past))
	against := func(history deploy.Traffic, weight float64) *Bake {
		return &Bake{
			History: history, Alpha: weight * alpha, AlphaPromote: r.Beside.AlphaPromote,
			Margin: max(r.Beside.Margin, aloneMargin), Dispersion: max(r.Beside.Dispersion, r.Beside.dispersion),
		}
	}
	r.apart = map[string]*Bake{}
	for name, history := range r.Past {
		r.apart[name] = against(history, 1)
		r.apart[name].Measure = name
	}
	if r.History.Requests == 0 {
		return NewErrorLimit(deploy.DefaultErrors)
	}
	return against(r.History, errorWeight)
}
