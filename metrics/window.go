package metrics

import (
	"maps"
	"slices"
	"time"
)

// When scrapes are late, in intervals of their target. Between late and gone a
// side waits for a target; after that it goes on without it. A slow machine is
// given a few seconds in any case.
const (
	late      = 1.5
	gone      = 4.0
	leastGone = 10 * time.Second
	// usualInterval of scrapes is taken where only one has been seen.
	usualInterval = 15 * time.Second
)

// scrapes are the times at which the targets of one version were scraped, in
// milliseconds, ascending.
type scrapes map[string][]int64

func scrapesOf(objects []*object) scrapes {
	times := map[string]map[int64]bool{}
	for _, o := range objects {
		if times[o.target] == nil {
			times[o.target] = map[int64]bool{}
		}
		for _, p := range o.points {
			times[o.target][p.at] = true
		}
	}
	s := scrapes{}
	for target, at := range times {
		s[target] = slices.Sorted(maps.Keys(at))
	}
	return s
}

// enoughGaps between scrapes tell their interval, whatever one of them was.
const enoughGaps = 4

// intervals between scrapes: the median of each target, in milliseconds. before
// are those that were found earlier. They stay where few scrapes are there: a
// target that comes back has only the gap to show.
func (s scrapes) intervals(before map[string]int64) map[string]int64 {
	found := maps.Clone(before)
	if found == nil {
		found = map[string]int64{}
	}
	for target, at := range s {
		if _, known := found[target]; len(at) < 2 || known && len(at) <= enoughGaps {
			continue
		}
		gaps := make([]int64, 0, len(at)-1)
		for i := 1; i < len(at); i++ {
			gaps = append(gaps, at[i]-at[i-1])
		}
		slices.Sort(gaps)
		found[target] = gaps[(len(gaps)-1)/2]
	}
	return found
}

// intervalOf a target; that of the slowest other one where it is not known.
func intervalOf(intervals map[string]int64, target string) float64 {
	if i, known := intervals[target]; known {
		return float64(i)
	}
	slowest := int64(0)
	for _, i := range intervals {
		slowest = max(slowest, i)
	}
	if slowest == 0 {
		slowest = usualInterval.Milliseconds()
	}
	return float64(slowest)
}

// horizon is how long a target may be silent before it counts as gone, in
// milliseconds.
func horizon(intervals map[string]int64, target string) int64 {
	return max(int64(gone*intervalOf(intervals, target)), leastGone.Milliseconds())
}

// moments are the times after which nothing is missing: every target that is
// not gone has just been scraped. Ascending.
func (s scrapes) moments(intervals map[string]int64) []int64 {
	all := map[int64]bool{}
	for _, at := range s {
		for _, t := range at {
			all[t] = true
		}
	}
	var complete []int64
	for _, t := range slices.Sorted(maps.Keys(all)) {
		if s.completeAt(t, intervals) {
			complete = append(complete, t)
		}
	}
	return complete
}

func (s scrapes) completeAt(t int64, intervals map[string]int64) bool {
	for target, at := range s {
		n, exact := slices.BinarySearch(at, t)
		if exact || n == 0 { // scraped just now, or not yet there
			continue
		}
		age := t - at[n-1]
		if float64(age) > late*intervalOf(intervals, target) && age <= horizon(intervals, target) {
			return false
		}
	}
	return true
}

// window is up to when each side is counted.
type window struct{ live, candidate int64 }

func (w window) of(s side) int64 {
	if s == live {
		return w.live
	}
	return w.candidate
}

// next is the window up to the last moment at which both sides were scraped: the
// last one of the candidate that the live version has been scraped after, or at
// the same time. The live version is counted up to that scrape, so that what it
// got covers all that the candidate went through. Not ok if that is no progress
// for one of them.
func (w window) next(liveMoments, candidateMoments []int64) (window, bool) {
	if len(liveMoments) == 0 {
		return w, false
	}
	n, exact := slices.BinarySearch(candidateMoments, liveMoments[len(liveMoments)-1])
	if exact {
		n++
	}
	if n == 0 {
		return w, false
	}
	c := candidateMoments[n-1]
	at, _ := slices.BinarySearch(liveMoments, c)
	l := liveMoments[at]
	if l <= w.live || c <= w.candidate {
		return w, false
	}
	return window{l, c}, true
}

// level says whether both sides were scraped at the same time, as behind one
// gateway.
func (w window) level() bool { return w.live == w.candidate }
