package analysis

import (
	"math/rand/v2"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// traffic makes samples of requests that are drawn one by one.
type traffic struct {
	seed uint64
	// requests of a sample, and how long it lasts.
	requests int
	every    time.Duration
	share    deploy.Percent
	// errors of both versions; those of the candidate from the n-th sample on
	// are worse.
	live, candidate, worse float64
	from                   int
	// latency has buckets; the candidate is so many buckets slower.
	latency bool
	slower  int
}

var bucketBounds = []float64{.01, .02, .04, .08, .16, .32, .64}

// samples draws n of them.
func (t traffic) samples(n int) []Sample {
	r := rand.New(rand.NewPCG(t.seed, 42))
	if t.every == 0 {
		t.every = time.Second
	}
	var all []Sample
	for i := range n {
		s := Sample{At: time.Duration(i+1) * t.every, Share: t.share}
		if t.latency {
			s.Live.Latency, s.Candidate.Latency = emptyHistogram(), emptyHistogram()
		}
		failing := t.candidate
		if t.worse > 0 && i >= t.from {
			failing = t.worse
		}
		for range t.requests {
			if r.Float64() < t.share.Fraction() {
				t.request(r, &s.Candidate, failing, t.slower)
			} else {
				t.request(r, &s.Live, t.live, 0)
			}
		}
		all = append(all, s)
	}
	return all
}

func (t traffic) request(r *rand.Rand, to *deploy.Traffic, failing float64, slower int) {
	to.Requests++
	if r.Float64() < failing {
		to.Errors++
	}
	if t.latency {
		to.Latency.Counts[min(r.IntN(4)+r.IntN(3)+slower, len(bucketBounds))]++
	}
}

func emptyHistogram() deploy.Histogram {
	return deploy.Histogram{Le: bucketBounds, Counts: make([]uint64, len(bucketBounds)+1)}
}

// observeAll gives the verdict after all samples, or the first that reverts.
func observeAll(j Judge, samples []Sample) (v Verdict, after int) {
	for i, s := range samples {
		if v = j.Observe(s); v.Decision == Revert {
			return v, i + 1
		}
	}
	return v, len(samples)
}
