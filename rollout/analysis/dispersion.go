package analysis

import (
	"math"

	"github.com/slipway-ci/slipway/deploy"
)

// Dispersion measures how much more the error counts of replicas of one version
// vary than independent requests would: about 1 when requests fail one by one,
// about the length of a burst when one client's requests fail together on the
// replica that it sticks to. Without it a burst looks like evidence against the
// version that it happened to hit. It is Pearson's statistic over its degrees of
// freedom, added up over windows.
type Dispersion struct {
	window    []deploy.Traffic
	statistic float64
	freedom   float64
}

// leastErrors of a replica in a window, in the mean, for the statistic to be
// what it should be.
const leastErrors = 5

// Observe adds what the replicas of one version did since the last time, always
// in the same order. Other replicas than before begin a new window.
func (d *Dispersion) Observe(replicas []deploy.Traffic) {
	if len(d.window) != len(replicas) {
		d.window = make([]deploy.Traffic, len(replicas))
	}
	var all deploy.Traffic
	for i, r := range replicas {
		d.window[i].Requests += r.Requests
		d.window[i].Errors += min(r.Errors, r.Requests)
		all.Requests += d.window[i].Requests
		all.Errors += d.window[i].Errors
	}
	if len(replicas) < 2 || all.Errors < leastErrors*uint64(len(replicas)) || all.Errors >= all.Requests {
		return
	}
	d.close(float64(all.Errors) / float64(all.Requests))
}

// close adds a window in which this share of requests failed.
func (d *Dispersion) close(share float64) {
	counted := 0.0
	for i, r := range d.window {
		if n := float64(r.Requests); n > 0 {
			off := float64(r.Errors) - n*share
			d.statistic += off * off / (n * share * (1 - share))
			counted++
		}
		d.window[i] = deploy.Traffic{}
	}
	d.freedom += max(counted-1, 0)
}

// Value is what was measured, at least 1. It is 1 as long as chance explains
// what was seen, so that nothing is slowed down for nothing; beyond that it is
// a little more than the estimate, because too little of it cries wolf.
func (d *Dispersion) Value() float64 {
	if d.freedom == 0 {
		return 1
	}
	measured, noise := d.statistic/d.freedom, math.Sqrt(2/d.freedom)
	if measured < 1+2*noise {
		return 1
	}
	return measured * (1 + noise)
}
