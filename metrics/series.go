package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// role is what series are counted for.
type role int

const (
	requests role = iota
	failures
	durations
)

// point is a sample of what counts, in milliseconds since 1970.
type point struct {
	at    int64
	total float64
	// buckets are of histograms alone.
	buckets histogram
}

// since is what came after an earlier sample; reset says that counting began
// anew in between, so that all of the present sample came after.
func (p point) since(before point) (diff point, reset bool) {
	buckets, ok := p.buckets.since(before.buckets)
	if !ok || p.total < before.total {
		return p, true
	}
	return point{at: p.at, total: p.total - before.total, buckets: buckets}, false
}

func (p point) plus(o point) point {
	return point{at: o.at, total: p.total + o.total, buckets: p.buckets.plus(o.buckets)}
}

// object is what is reset as one: a counter, or a histogram with all of its
// buckets.
type object struct {
	key    string
	role   role
	labels model.Metric
	// target is what was scraped: job and instance.
	target string
	points []point // ascending
}

// until is how many points lie at or before a time.
func (o *object) until(at int64) int {
	return sort.Search(len(o.points), func(i int) bool { return o.points[i].at > at })
}

// longestSeries is how many series a selector may find.
const longestSeries = 20_000

// objectsOf reads the answer to a selector.
func objectsOf(v model.Value, r role, unit time.Duration) ([]*object, error) {
	matrix, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("the answer is a %s, not raw samples", v.Type())
	}
	if len(matrix) > longestSeries {
		return nil, fmt.Errorf("it finds %d series, %d are too many", len(matrix), longestSeries)
	}
	if unit == 0 {
		unit = time.Second
	}
	found := map[string]*gathered{}
	for _, s := range matrix {
		if err := gather(found, s, r, unit.Seconds()); err != nil {
			return nil, err
		}
	}
	all := make([]*object, 0, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[key].whole(unit.Seconds()))
	}
	return all, nil
}

// gathered is an object whose samples come from several series.
type gathered struct {
	object
	// cumulative are the buckets of classic histograms by time and "le".
	cumulative map[int64]map[float64]float64
}

// gather adds a series to its object.
func gather(found map[string]*gathered, s *model.SampleStream, r role, unit float64) error {
	labels := maps.Clone(s.Metric)
	bucketed := r == durations && len(s.Values) > 0
	var le float64
	if bucketed {
		text, has := labels["le"]
		parsed, err := strconv.ParseFloat(string(text), 64)
		if !has || err != nil {
			return fmt.Errorf("%s has no bound in a label le: select the series that end in _bucket", s.Metric)
		}
		le = parsed
		delete(labels, "le")
	}
	key := fmt.Sprint(int(r), labels.String())
	o := found[key]
	if o == nil {
		o = &gathered{object: object{key: key, role: r, labels: labels, target: targetOf(labels)}}
		found[key] = o
	}
	for _, p := range s.Histograms {
		buckets, total := native(p.Histogram, unit)
		o.points = append(o.points, point{at: int64(p.Timestamp), total: total, buckets: buckets})
	}
	for _, p := range s.Values {
		v := float64(p.Value)
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return fmt.Errorf("%s has the value %v, so it is not a counter", s.Metric, p.Value)
		}
		if !bucketed {
			o.points = append(o.points, point{at: int64(p.Timestamp), total: v})
			continue
		}
		o.bucket(int64(p.Timestamp), le, v)
	}
	return nil
}

func (g *gathered) bucket(at int64, le, v float64) {
	if g.cumulative == nil {
		g.cumulative = map[int64]map[float64]float64{}
	}
	if g.cumulative[at] == nil {
		g.cumulative[at] = map[float64]float64{}
	}
	g.cumulative[at][le] = max(v, g.cumulative[at][le])
}

// whole puts buckets together and orders the points.
func (g *gathered) whole(unit float64) *object {
	for at, cumulative := range g.cumulative {
		buckets, total := classic(cumulative, unit)
		g.points = append(g.points, point{at: at, total: total, buckets: buckets})
	}
	slices.SortFunc(g.points, func(a, b point) int { return int(a.at - b.at) })
	return &g.object
}

// targetOf is what a series was scraped from. All that one scrape brought has
// the same time.
func targetOf(labels model.Metric) string {
	return strings.Join([]string{string(labels["job"]), string(labels["instance"])}, "\x00")
}

// resets finds the times at which a target began anew as a whole: its largest
// counter fell. The smaller ones may have overtaken their old values since, and
// would hide what they counted.
func resets(objects []*object, last map[string]point) map[string]map[int64]bool {
	type fall struct {
		at     int64
		before float64
	}
	falls := map[string][]fall{}
	for _, o := range objects {
		before, known := last[o.key]
		for _, p := range o.points {
			if known && p.at <= before.at {
				continue
			}
			if known && p.total < before.total {
				falls[o.group()] = append(falls[o.group()], fall{p.at, before.total})
			}
			before, known = p, true
		}
	}
	found := map[string]map[int64]bool{}
	for group, all := range falls {
		for _, f := range all {
			if f.before < largestBefore(objects, last, group, f.at) {
				continue
			}
			if found[group] == nil {
				found[group] = map[int64]bool{}
			}
			found[group][f.at] = true
		}
	}
	return found
}

// group is what a restart resets together, as far as one query sees it.
func (o *object) group() string { return fmt.Sprint(int(o.role), o.target) }

// largestBefore is the largest value in a group before a time.
func largestBefore(objects []*object, last map[string]point, group string, at int64) float64 {
	largest := 0.0
	for _, o := range objects {
		if o.group() != group {
			continue
		}
		if n := o.until(at - 1); n > 0 {
			largest = max(largest, o.points[n-1].total)
		} else if before, known := last[o.key]; known && before.at < at {
			largest = max(largest, before.total)
		}
	}
	return largest
}
