package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Past is a time that is over, of which a source is asked.
type Past struct {
	// Began is when the rollout did, which is where the t of recorded traffic
	// counts from.
	Began time.Time
	// Since is where the time begins that is asked about.
	Since time.Time
	// Every is how far the moments are apart that are asked about; zero means
	// DefaultInterval. Of a long time there are at most 2000.
	Every time.Duration
}

// mostMoments that a source is asked about: one in 43 seconds of a day.
const mostMoments = 2000

// moments are the times that are asked about, up to now, in whole milliseconds
// as a Prometheus has them.
func (p Past) moments(now time.Time) []time.Time {
	every := p.Every
	if every <= 0 {
		every = DefaultInterval
	}
	every = max(every, now.Sub(p.Since)/mostMoments+time.Millisecond).Truncate(time.Millisecond)
	var all []time.Time
	for at := p.Since.Truncate(time.Millisecond); at.Before(now); at = at.Add(every) {
		all = append(all, at)
	}
	return append(all, now)
}

// Moment is what a source would have said at a time.
type Moment struct {
	At time.Time
	Reading
}

// Recorder is a source that can still be asked about what nobody asked it about
// at the time.
type Recorder interface {
	Source
	// Recall is what Measure would have said at each moment of a time that is
	// over, in which all users were on the candidate, in their order; what is missing at the last of them is missing now.
	// It is asked before Measure, which goes on from there. Errors are those of
	// Measure.
	Recall(ctx context.Context, p Past) ([]Moment, error)
}

var (
	_ Recorder = (*Prometheus)(nil)
	_ Recorder = (*HTTP)(nil)
	_ Recorder = Sources(nil)
)

// Recall joins what all of them say, in the order of time. Where some fail, it
// has what the others said, beside the errors.
func (s Sources) Recall(ctx context.Context, p Past) ([]Moment, error) {
	told, failed := make([][]Moment, len(s)), make([]error, len(s))
	var all sync.WaitGroup
	for i, source := range s {
		recorder, keeps := source.(Recorder)
		if !keeps {
			failed[i] = errors.New("a source keeps nothing of the past")
			continue
		}
		all.Go(func() { told[i], failed[i] = recorder.Recall(ctx, p) })
	}
	all.Wait()
	var missing []error
	for _, moments := range told {
		if n := len(moments); n > 0 {
			missing = append(missing, moments[n-1].Missing...)
		}
	}
	joined := slices.Concat(told...)
	slices.SortStableFunc(joined, func(a, b Moment) int { return a.At.Compare(b.At) })
	if n := len(joined); n > 0 {
		joined[n-1].Missing = missing
	}
	return joined, errors.Join(failed...)
}

// Recall asks for the raw samples of an hour at a time, and counts them as if it
// had looked at each moment. So it knows of counts that began anew, of series
// that appeared late and of scrapes that failed what it would have known then.
func (p *Prometheus) Recall(ctx context.Context, past Past) ([]Moment, error) {
	moments := past.moments(time.Now())
	if len(p.values) > 0 {
		return p.recallValue(ctx, moments)
	}
	p.Alone()
	defer func() { p.recalled = time.Time{} }()
	var told []Moment
	for len(moments) > 0 {
		until := moments[0].Add(longestRange)
		n := 1
		for n < len(moments) && !moments[n].After(until) {
			n++
		}
		to := moments[n-1]
		objects, err := p.fetch(ctx, to.Sub(moments[0])+max(firstRange, p.lookBack()), to)
		if err != nil {
			return told, err
		}
		for _, at := range moments[:n] {
			p.recalled = at
			r, err := p.read(between(objects, at.Add(-p.lookBack()), at))
			if err != nil {
				return told, err
			}
			told = append(told, Moment{at, r})
		}
		moments = moments[n:]
	}
	return told, nil
}

// between are the samples after one time and up to another.
func between(objects map[side][]*object, after, until time.Time) map[side][]*object {
	seen := map[side][]*object{}
	for s, all := range objects {
		for _, o := range all {
			points := o.points[o.until(after.UnixMilli()):o.until(until.UnixMilli())]
			if len(points) == 0 {
				continue
			}
			part := *o
			part.points = points
			seen[s] = append(seen[s], &part)
		}
	}
	return seen
}

// recallValue asks for the numbers of each version at all moments.
func (p *Prometheus) recallValue(ctx context.Context, moments []time.Time) ([]Moment, error) {
	told := make([]Moment, len(moments))
	for i, at := range moments {
		told[i] = Moment{at, Reading{Gauges: []analysis.Gauge{{Name: p.query.Name, Live: math.NaN(), Candidate: math.NaN()}}}}
	}
	// The last moment is now, and off the steps of the others.
	last := len(told) - 1
	now, err := p.measureValue(ctx)
	if err != nil {
		return nil, err
	}
	told[last].Reading = now
	common := p.values[live] == p.values[candidate]
	for _, s := range sides {
		if last == 0 || s == live && (common || p.subject.Live.IsZero()) {
			continue
		}
		if err := p.recallNumbers(ctx, s, told[:last]); err != nil {
			return nil, err
		}
	}
	return told, nil
}

// recallNumbers fills in those of one version, at moments that are equally far
// apart. Where there was none, there is no number.
func (p *Prometheus) recallNumbers(ctx context.Context, s side, into []Moment) error {
	r := promapi.Range{Start: into[0].At, End: into[len(into)-1].At, Step: time.Second}
	if len(into) > 1 {
		r.Step = into[1].At.Sub(into[0].At)
	}
	v, err := p.client.askRange(ctx, p.query.Name, p.values[s], r)
	if err != nil {
		return err
	}
	matrix, ok := v.(model.Matrix)
	if !ok || len(matrix) > 1 {
		what := fmt.Sprintf("gives %d series, not one number", len(matrix))
		if !ok {
			what = fmt.Sprintf("gives a %s, not a number", v.Type())
		}
		return p.wrong(p.values[s], errors.New(what), "put sum(…) or avg(…) around it")
	}
	numbers := map[int64]float64{}
	for _, series := range matrix {
		for _, n := range series.Values {
			numbers[int64(n.Timestamp)] = float64(n.Value)
		}
	}
	for i := range into {
		n, has := numbers[into[i].At.UnixMilli()]
		if !has || math.IsInf(n, 0) {
			n = math.NaN()
		}
		if gauge := &into[i].Gauges[0]; s == live {
			gauge.Live = n
		} else {
			gauge.Candidate = n
		}
	}
	return nil
}

// Recall takes all lines of an answer whose t is later than the time asked
// about. An address that answers with its newest line alone tells of no more.
func (h *HTTP) Recall(ctx context.Context, p Past) ([]Moment, error) {
	lines, err := h.fetch(ctx)
	if err != nil {
		return nil, err
	}
	h.began = true
	var told []Moment
	for _, l := range lines {
		h.last = max(h.last, l.At)
		if at := p.Began.Add(l.At); at.After(p.Since) {
			told = append(told, Moment{at, Reading{Measures: joined(h.endpoint.Name, []analysis.TraceLine{l})}})
		}
	}
	return told, nil
}
