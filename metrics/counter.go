package metrics

import (
	"maps"

	"github.com/slipway-ci/slipway/deploy"
)

// counter counts what came in on both sides, from raw samples.
type counter struct {
	began bool
	// ends are up to when each side has been counted.
	ends window
	// last are the samples that were counted up to, by object.
	last map[side]map[string]point
	// seen is when each target was last part of a count, on either side.
	seen map[string]int64
	// intervals of scrapes.
	intervals map[string]int64
	// absent says that the candidate had no series at the beginning, while the
	// live version had some: what appears of it later began at zero.
	absent bool
	// before is what the live version got in the last windows, the latest
	// first.
	before [steadyWindows]counted
	// single: nobody is on the live version any more, and it is not waited for.
	single bool
	// trusting compares every window; tests show what that leads to.
	trusting bool
}

func newCounter() *counter {
	return &counter{last: map[side]map[string]point{live: {}, candidate: {}}, seen: map[string]int64{}}
}

// counted is what one side got.
type counted struct {
	requests, failures float64
	latency            histogram
}

func (c counted) traffic() deploy.Traffic {
	t := deploy.Traffic{Requests: whole(c.requests), Errors: whole(c.failures), Latency: c.latency.counted()}
	if t.Requests > 0 {
		// Errors that are counted elsewhere than requests, such as at each
		// attempt, are failed requests all the same.
		t.Requests = max(t.Requests, t.Errors)
	}
	return t
}

// take counts up to the last moment at which both sides were scraped. told is
// nothing if nothing can be told yet, and unsteady if it cannot be compared.
// failed says which objects count failed requests.
func (c *counter) take(objects map[side][]*object, failed func(*object) bool) (counts map[side]counted, told outcome) {
	moments := map[side][]int64{}
	for _, s := range sides {
		c.intervals = scrapesOf(objects[s]).intervals(c.intervals)
	}
	align(objects, c.intervals)
	for _, s := range sides {
		moments[s] = scrapesOf(objects[s]).moments(c.intervals)
	}
	if !c.began {
		c.begin(objects, moments)
		return nil, nothing
	}
	if len(objects[candidate]) == 0 {
		c.pass(objects, moments[live], failed)
		return nil, nothing
	}
	if c.single {
		return c.only(objects, moments[candidate], failed)
	}
	next, ok := c.ends.next(moments[live], moments[candidate])
	if !ok {
		return nil, nothing
	}
	level := c.ends.level() && next.level() && sameTargets(objects)
	counts = c.advance(objects, next, failed)
	told = compared
	if !level && !c.trusting {
		told = c.steady(counts)
	}
	c.remember(counts[live])
	return counts, told
}

// sameTargets says whether both sides are counted by the same targets. A gateway
// that has not yet sent anybody to the candidate counts for one side alone, and
// is scraped at another time than the rest.
func sameTargets(objects map[side][]*object) bool {
	targets := map[side]map[string]bool{live: {}, candidate: {}}
	for s, all := range objects {
		for _, o := range all {
			if len(o.points) > 0 {
				targets[s][o.target] = true
			}
		}
	}
	return maps.Equal(targets[live], targets[candidate])
}

// outcome is what became of a window.
type outcome string

const (
	nothing  outcome = "nothing"
	compared outcome = "compared"
	// unsteady windows are dropped.
	unsteady outcome = "unsteady"
)

// align cuts off what one query has seen of a target and another, which was
// answered a moment earlier, has not: requests and their durations are counted
// up to the same scrape, and so are both versions behind one gateway.
func align(objects map[side][]*object, intervals map[string]int64) {
	type asked struct {
		side side
		role role
	}
	last := map[string]map[asked]int64{}
	for s, all := range objects {
		for _, o := range all {
			if last[o.target] == nil {
				last[o.target] = map[asked]int64{}
			}
			if n := len(o.points); n > 0 {
				last[o.target][asked{s, o.role}] = max(last[o.target][asked{s, o.role}], o.points[n-1].at)
			}
		}
	}
	for _, all := range objects {
		for _, o := range all {
			o.points = o.points[:o.until(common(last[o.target], horizon(intervals, o.target)))]
		}
	}
}

// common is the earliest of some times, but for those that are gone.
func common[K comparable](times map[K]int64, horizon int64) int64 {
	newest := int64(0)
	for _, t := range times {
		newest = max(newest, t)
	}
	earliest := newest
	for _, t := range times {
		if newest-t <= horizon {
			earliest = min(earliest, t)
		}
	}
	return earliest
}

// begin remembers where counting begins.
func (c *counter) begin(objects map[side][]*object, moments map[side][]int64) {
	c.began = true
	c.absent = len(objects[live]) > 0 && len(objects[candidate]) == 0
	next, ok := window{}.next(moments[live], moments[candidate])
	if !ok {
		next = c.alone(moments)
	}
	c.advance(objects, next, func(*object) bool { return false })
}

// alone is a window for what there is, where one side has nothing.
func (c *counter) alone(moments map[side][]int64) window {
	w := c.ends
	for _, s := range sides {
		if n := len(moments[s]); n > 0 {
			w = window{max(w.live, moments[s][n-1]), max(w.candidate, moments[s][n-1])}
		}
	}
	return w
}

// pass goes on without counting while the candidate has nothing to count: what
// the live version gets meanwhile has nothing to be compared with, and must
// not be compared with what comes later.
func (c *counter) pass(objects map[side][]*object, moments []int64, failed func(*object) bool) {
	n := len(moments)
	if n == 0 || moments[n-1] <= c.ends.live {
		return
	}
	counts := c.advance(objects, window{moments[n-1], moments[n-1]}, failed)
	c.remember(counts[live])
}

// only counts the candidate alone up to its last scrape.
func (c *counter) only(objects map[side][]*object, moments []int64, failed func(*object) bool) (map[side]counted, outcome) {
	n := len(moments)
	if n == 0 || moments[n-1] <= c.ends.candidate {
		return nil, nothing
	}
	return c.advance(objects, window{moments[n-1], moments[n-1]}, failed), compared
}

// advance counts up to the ends of a window.
func (c *counter) advance(objects map[side][]*object, to window, failed func(*object) bool) map[side]counted {
	counts := map[side]counted{}
	seen := maps.Clone(c.seen)
	for _, s := range sides {
		restarts := resets(objects[s], c.last[s])
		var sum counted
		for _, o := range objects[s] {
			n := o.until(to.of(s))
			if n == 0 {
				continue
			}
			seen[o.target] = max(seen[o.target], o.points[n-1].at)
			d := c.difference(s, o, o.points[:n], restarts[o.group()])
			c.last[s][o.key] = o.points[n-1]
			sum.add(o, d, failed)
		}
		counts[s] = sum
		c.forget(s, objects[s], to.of(s))
	}
	c.ends, c.seen = to, seen
	return counts
}

// add is for what one object counted.
func (c *counted) add(o *object, d point, failed func(*object) bool) {
	switch o.role {
	case requests:
		c.requests += d.total
		if failed(o) {
			c.failures += d.total
		}
	case failures:
		c.failures += d.total
	case durations:
		c.latency = c.latency.plus(d.buckets)
	}
}

// difference is what an object counted after the sample that it was last
// counted up to.
func (c *counter) difference(s side, o *object, points []point, restarts map[int64]bool) point {
	before, known := c.last[s][o.key]
	if !known {
		before, known = c.origin(s, o, points)
	}
	var sum point
	away := int64(0)
	if known {
		away = c.ends.of(s) - before.at
	}
	for _, p := range points {
		switch {
		case known && p.at <= before.at:
			continue
		case !known, p.at-before.at > horizon(c.intervals, o.target) && away > horizon(c.intervals, o.target):
			// It comes from nowhere, or comes back after the others went on
			// without it: that time has been counted. What its target had
			// dropped begins at zero again.
			reborn := c.scraped(o.target, p.at)
			if reborn {
				sum = sum.plus(p)
			}
			before, known = p, true
			continue
		}
		d, reset := p.since(before)
		if restarts[p.at] && !reset {
			d = p
		}
		sum = sum.plus(d)
		before = p
	}
	return sum
}

// origin is the sample that a new object is counted from. A counter appears
// with its first event, so that all of its first sample may have just come in:
// so it is if its target was scraped before and did not have it, or if the
// version itself is new. Otherwise nobody knows since when it counts.
func (c *counter) origin(s side, o *object, points []point) (point, bool) {
	for i := len(points) - 1; i >= 0; i-- {
		if points[i].at <= c.ends.of(s) {
			return points[i], true
		}
	}
	_, known := c.seen[o.target]
	switch {
	case c.scraped(o.target, points[0].at):
		return point{at: c.seen[o.target]}, true
	case !known && s == candidate && c.absent:
		return point{at: c.ends.candidate}, true
	}
	return point{}, false
}

// scraped says whether a target was part of the last count shortly before.
func (c *counter) scraped(target string, at int64) bool {
	seen, known := c.seen[target]
	return known && at-seen <= horizon(c.intervals, target)
}

// forget drops what has not been seen for an hour.
func (c *counter) forget(s side, objects []*object, now int64) {
	present := map[string]bool{}
	for _, o := range objects {
		present[o.key] = true
	}
	maps.DeleteFunc(c.last[s], func(key string, p point) bool {
		return !present[key] && now-p.at > longestRange.Milliseconds()
	})
}
