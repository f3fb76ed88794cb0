package analysis

import (
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// LatencyLimit lets a candidate pass of which a quantile of the durations is
// not above a limit, whatever the live version does: "p99 below 300ms". As with
// ErrorLimit, more has to be slow than chance explains. Requests in the bucket
// that the limit falls into could be on either side of it: they do not revert,
// and they do not pass.
type LatencyLimit struct {
	// Quantile between 0 and 1, such as 0.99.
	Quantile float64
	Limit    time.Duration
	// Measure is whose durations; empty means all traffic.
	Measure string
	seen    deploy.Histogram
}

var _ Judge = (*LatencyLimit)(nil)

// Observe adds the sample. It answers Revert as soon as it is certain, Advance
// when no more requests are slow than chance easily explains.
func (j *LatencyLimit) Observe(s Sample) Verdict {
	candidate := measureOf(s, j.Measure).Candidate
	j.seen = plusHistogram(j.seen, candidate.Latency)
	v := Verdict{Metric: named(j.Measure, kindLatency), Decision: Continue, ETA: Unknown}
	all, surely, maybe := j.slow()
	if all == 0 {
		v.Why = fmt.Sprintf("not known yet: no %s of the new version has been measured", v.Metric)
		if s.Share == 0 {
			v.Decision, v.ETA, v.Why = Advance, 0, "no users are sent to the new version at this stage"
		}
		return v
	}
	allowed := 1 - j.Quantile
	v.Why = fmt.Sprintf("%s of %d requests took longer than %s, the limit of p%s allows %s",
		percent(float64(surely), float64(all)), all, j.Limit, number(100*j.Quantile), percent(allowed, 1))
	switch {
	case tail(surely, all, allowed) < certain:
		v.Decision, v.ETA = Revert, 0
	case tail(maybe, all, allowed) >= likely:
		v.Decision, v.ETA = Advance, 0
	case tail(surely, all, allowed) >= likely:
		v.Why += fmt.Sprintf("; another %s may have, the buckets do not tell", percent(float64(maybe-surely), float64(all)))
	}
	return v
}

// slow counts all requests, those that surely took longer than the limit, and
// those that may have.
func (j *LatencyLimit) slow() (all, surely, maybe uint64) {
	limit := j.Limit.Seconds()
	for i, n := range j.seen.Counts {
		all += n
		if i > 0 && j.seen.Le[i-1] >= limit {
			surely += n
		}
		if i == len(j.seen.Le) || j.seen.Le[i] > limit {
			maybe += n
		}
	}
	return all, surely, maybe
}
