package analysis

import (
	"github.com/slipway-ci/slipway/deploy"
)

// clock knows how long the rollout has lasted, in seconds.
type clock struct {
	// began and at are of the present sample.
	began, at float64
	// before is what earlier stages lasted, where samples say the time of
	// their stage only.
	before, elapsed float64
}

// tick takes the sample's time. It never goes back.
func (c *clock) tick(s Sample) (began, at float64) {
	elapsed := s.Elapsed.Seconds()
	if elapsed < c.elapsed {
		c.before += c.elapsed
	}
	c.elapsed = elapsed
	now := s.At.Seconds()
	if s.At == 0 {
		now = c.before + elapsed
	}
	c.began, c.at = c.at, max(c.at, now)
	return c.began, c.at
}

// gate is the share that the rollout is at.
type gate struct {
	share deploy.Percent
	since float64
	known bool
}

// enter says whether the share has changed with the sample, which began then.
func (g *gate) enter(s Sample, began float64) (changed bool) {
	if g.known && g.share == s.Share {
		return false
	}
	changed = g.known
	g.share, g.since, g.known = s.Share, began, true
	return changed
}

// next is the share that the gate opens to.
func (g *gate) next(steps []deploy.Percent) deploy.Percent {
	for _, s := range steps {
		if s > g.share {
			return s
		}
	}
	return 100
}
