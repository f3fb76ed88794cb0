package metrics

import (
	"math"
	"slices"

	"github.com/prometheus/common/model"

	"github.com/slipway-ci/slipway/deploy"
)

// histogram counts durations as deploy.Histogram does, in floating point: that
// is what Prometheus keeps. The zero value has no buckets.
type histogram struct {
	le     []float64
	counts []float64
}

func histogramOf(h deploy.Histogram) histogram {
	if len(h.Counts) == 0 || len(h.Counts) != len(h.Le)+1 {
		return histogram{}
	}
	counts := make([]float64, len(h.Counts))
	for i, n := range h.Counts {
		counts[i] = float64(n)
	}
	return histogram{h.Le, counts}
}

func (h histogram) isZero() bool { return len(h.counts) == 0 }

// counted are whole counts.
func (h histogram) counted() deploy.Histogram {
	if h.isZero() {
		return deploy.Histogram{}
	}
	c := deploy.Histogram{Le: slices.Clone(h.le), Counts: make([]uint64, len(h.counts))}
	for i, n := range h.counts {
		c.Counts[i] = whole(n)
	}
	return c
}

// whole is a count; differences of counters are whole but for rounding.
func whole(n float64) uint64 {
	if !(n > 0) {
		return 0
	}
	return uint64(math.Round(min(n, 1<<62)))
}

// in is the same in some of its bounds.
func (h histogram) in(bounds []float64) histogram {
	if h.isZero() || slices.Equal(h.le, bounds) {
		return h
	}
	coarse := histogram{bounds, make([]float64, len(bounds)+1)}
	k := 0
	for i, n := range h.counts {
		for k < len(bounds) && (i == len(h.le) || bounds[k] < h.le[i]) {
			k++
		}
		coarse.counts[k] += n
	}
	return coarse
}

// plus is both in the bounds that both have.
func (h histogram) plus(o histogram) histogram {
	switch {
	case h.isZero():
		return o
	case o.isZero():
		return h
	}
	a, b := alike(h, o)
	sum := histogram{a.le, slices.Clone(a.counts)}
	for i, n := range b.counts {
		sum.counts[i] += n
	}
	return sum
}

// since is what came after an earlier reading; not ok if that has more in any
// bucket, so that counting must have begun anew in between.
func (h histogram) since(before histogram) (diff histogram, ok bool) {
	if before.isZero() || h.isZero() {
		return h, before.isZero()
	}
	a, b := alike(h, before)
	diff = histogram{a.le, slices.Clone(a.counts)}
	for i, n := range b.counts {
		diff.counts[i] -= n
		if diff.counts[i] < -0.5 {
			return histogram{}, false
		}
	}
	return diff, true
}

// alike are both in the bounds that both have.
func alike(a, b histogram) (histogram, histogram) {
	if slices.Equal(a.le, b.le) {
		return a, b
	}
	both := []float64{}
	for _, le := range a.le {
		if _, found := slices.BinarySearch(b.le, le); found {
			both = append(both, le)
		}
	}
	return a.in(both), b.in(both)
}

// classic makes a histogram of cumulative counts by their "le". Bounds are
// multiplied by unit, in seconds. A bucket that has fewer than the one below
// it, as after rounding in a recording rule, is taken as empty.
func classic(cumulative map[float64]float64, unit float64) (h histogram, total float64) {
	bounds := make([]float64, 0, len(cumulative))
	for le := range cumulative {
		if !math.IsInf(le, 1) {
			bounds = append(bounds, le)
		}
	}
	slices.Sort(bounds)
	below := 0.0
	for _, le := range bounds {
		h.le = append(h.le, le*unit)
		h.counts = append(h.counts, max(cumulative[le]-below, 0))
		below = max(below, cumulative[le])
	}
	total = below
	if inf, ok := cumulative[math.Inf(1)]; ok {
		total = max(inf, below)
	}
	h.counts = append(h.counts, total-below)
	return h, total
}

// A native histogram is told in buckets whose bounds are powers of two of a
// fourth (a factor of 1.19) from a millisecond to a minute, or of two and its
// root where it is coarser itself. All native histograms have those bounds,
// whatever their resolution is at the moment, so that they can be added up and
// compared; 65 of them are fine enough for a ratio of 1.25.
const (
	finestSchema  = 2
	lowestOctave  = -10
	highestOctave = 6
)

// native makes a histogram of a native one.
func native(n *model.SampleHistogram, unit float64) (h histogram, total float64) {
	h.le = nativeBounds(n.Buckets, unit)
	h.counts = make([]float64, len(h.le)+1)
	for _, b := range n.Buckets {
		// Rounding of the bounds must not move a bucket to the next one.
		upper := float64(b.Upper) * unit * (1 - 1e-9)
		k, _ := slices.BinarySearch(h.le, upper)
		h.counts[k] += float64(b.Count)
		total += float64(b.Count)
	}
	return h, max(total, float64(n.Count))
}

// nativeBounds are the bounds that buckets are told in.
func nativeBounds(buckets model.HistogramBuckets, unit float64) []float64 {
	schema, exponential := schemaOf(buckets)
	if !exponential {
		return customBounds(buckets, unit)
	}
	// e is a bound's power of two in the histogram's own unit. It has to be a
	// multiple of the step, also where that is more than an octave.
	step := math.Exp2(-float64(min(schema, finestSchema)))
	lowest, highest := lowestOctave-math.Log2(unit), highestOctave-math.Log2(unit)
	var bounds []float64
	for k := math.Ceil(lowest / step); k*step <= highest; k++ {
		bounds = append(bounds, math.Exp2(k*step)*unit)
	}
	return bounds
}

// schemaOf says how fine exponential buckets are: the bounds grow by the 2^n-th
// root of two, and one is among them.
func schemaOf(buckets model.HistogramBuckets) (schema int, exponential bool) {
	schema, known := finestSchema, false
	for _, b := range buckets {
		lower, upper := float64(b.Lower), float64(b.Upper)
		if lower <= 0 || upper <= 0 || math.IsInf(upper, 1) {
			continue // the bucket around zero, or one of negative numbers
		}
		s := math.Round(-math.Log2(math.Log2(upper / lower)))
		at := math.Log2(upper) * math.Exp2(s)
		if math.Abs(math.Log2(upper/lower)*math.Exp2(s)-1) > 1e-6 || math.Abs(at-math.Round(at)) > 1e-6 || known && int(s) != schema {
			return 0, false
		}
		schema, known = int(s), true
	}
	return schema, true
}

// customBounds are of a native histogram with buckets of the user's own.
func customBounds(buckets model.HistogramBuckets, unit float64) []float64 {
	var bounds []float64
	for _, b := range buckets {
		for _, x := range []float64{float64(b.Lower), float64(b.Upper)} {
			if x > 0 && !math.IsInf(x, 1) {
				bounds = append(bounds, x*unit)
			}
		}
	}
	slices.Sort(bounds)
	return slices.Compact(bounds)
}
