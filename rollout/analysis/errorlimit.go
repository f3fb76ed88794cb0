package analysis

import (
	"fmt"
	"math"

	"github.com/slipway-ci/slipway/deploy"
)

// The chance of so many errors, or more, on a version that fails exactly as
// often as the limit allows. Below certain it is told at any moment: it is
// looked at many times, hence the small number. Below likely it does not pass
// the end of a stage, which is looked at once.
const (
	certain = 1e-4
	likely  = 0.05
)

// ErrorLimit lets a candidate pass whose share of 5xx is not above a limit. A
// single failed request among few does not revert a release: the share has to
// be above the limit by more than chance explains.
type ErrorLimit struct {
	Limit deploy.Percent
	seen  deploy.Traffic
}

// NewErrorLimit judges one rollout.
func NewErrorLimit(limit deploy.Percent) *ErrorLimit { return &ErrorLimit{Limit: limit} }

// Observe adds the sample. It answers Revert as soon as it is certain, Hold
// while the share is higher than chance would easily explain, else Advance.
func (j *ErrorLimit) Observe(s Sample) Verdict {
	j.seen.Requests += s.Candidate.Requests
	j.seen.Errors += s.Candidate.Errors
	v := Verdict{Metric: "errors", Decision: Advance, Why: j.why(s)}
	chance := tail(j.seen.Errors, j.seen.Requests, j.Limit.Fraction())
	switch {
	case chance < certain:
		v.Decision = Revert
	case chance < likely:
		v.Decision, v.ETA = Hold, Unknown
	case j.seen.ErrorShare() > j.Limit:
		v.Why += ", which is too few to tell from chance"
	}
	return v
}

func (j *ErrorLimit) why(s Sample) string {
	if j.seen.Requests == 0 {
		return s.unmet()
	}
	return fmt.Sprintf("%.1f%% of %d requests failed on the new version (%d), the limit is %s",
		float64(j.seen.ErrorShare()), j.seen.Requests, j.seen.Errors, j.Limit)
}

// tail is the chance of k or more errors among n requests when each fails with
// chance p: the upper tail of the binomial distribution, summed from its
// logarithms so that large n do no harm.
func tail(k, n uint64, p float64) float64 {
	switch {
	case k == 0 || p >= 1:
		return 1
	case p <= 0:
		return 0
	case float64(k) <= float64(n)*p: // at or below what is expected: no need to know exactly
		return 1
	}
	sum, term := 0.0, math.Exp(logChoose(n, k)+float64(k)*math.Log(p)+float64(n-k)*math.Log1p(-p))
	for i := k; i <= n && term > sum*1e-12; i++ {
		sum += term
		term *= float64(n-i) / float64(i+1) * p / (1 - p)
	}
	return min(sum, 1)
}

// logChoose is the logarithm of n over k.
func logChoose(n, k uint64) float64 {
	lgamma := func(x uint64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	return lgamma(n) - lgamma(k) - lgamma(n-k)
}
