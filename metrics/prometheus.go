package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Prometheus measures one metric.
type Prometheus struct {
	client  *client
	query   Query
	subject Subject
	// selectors and values are what is sent for each side.
	selectors map[side][]selector
	values    map[side]string
	// picks are the alternatives of matchers that say what failed; chosen is
	// the one that the series can answer.
	picks  []matchers
	chosen matchers
	texts  []string

	counter *counter
	// advanced is when something was last counted.
	advanced time.Time
	// recalled is the time that is told of; zero is now.
	recalled time.Time
	// alone: all users are on the candidate.
	alone atomic.Bool
}

// Alone says that all users are on the candidate from now on: what counts the
// live version is not waited for any more. A gateway that sends nobody to it
// drops its series. It may be called while Measure runs.
func (p *Prometheus) Alone() { p.alone.Store(true) }

// selector is one query for raw samples.
type selector struct {
	role  role
	query string
}

// How far back raw samples are read: at first so far that two scrapes a minute
// apart are in it, then since the last ones that were counted.
const (
	firstRange   = 5 * time.Minute
	longestRange = time.Hour
)

// atOnce is how many queries a Prometheus is asked at the same time.
const atOnce = 4

var _ Source = (*Prometheus)(nil)

// NewPrometheus checks a query as far as that is possible without asking, and
// makes a source of it. Errors are usage errors.
func NewPrometheus(server Server, q Query, s Subject) (*Prometheus, error) {
	q.Backend = cmp.Or(q.Backend, s.Backend)
	q, failed, err := q.settled()
	if err != nil {
		return nil, err
	}
	c, err := newClient(server)
	if err != nil {
		return nil, err
	}
	p := &Prometheus{
		client: c, query: q, subject: s, counter: newCounter(),
		selectors: map[side][]selector{}, values: map[side]string{},
	}
	for _, which := range sides {
		if err := p.prepare(which, failed); err != nil {
			return nil, err
		}
	}
	if same := p.selectors[candidate]; s.Live.IsBaseline() && len(same) > 0 && slices.Equal(p.selectors[live], same) {
		return nil, deploy.Usage("select by {{.Revision}}, or by {{.Side}}, which is baseline here and not live",
			"%s: %s is the same for the baseline and for the new version", q.label(), shortened(same[0].query))
	}
	return p, nil
}

// prepare fills in the queries for one side.
func (p *Prometheus) prepare(which side, failed []string) error {
	q, label := p.query, p.query.label()
	backend, err := fill(label+": backend", q.Backend, p.subject.fieldsOf(which, true))
	if err != nil {
		return err
	}
	f := p.subject.fieldsOf(which, false)
	f.Backend = value{text: backend}
	if f.Select, err = fill(label+": select", q.Select, f); err != nil {
		return err
	}
	if f.Select != "" {
		if _, err := parseMatchers(f.Select); err != nil {
			return deploy.Usage(`write matchers as between braces, such as version="1.2.3"`, "%s: select: %s, in %s", label, err, shortened(f.Select))
		}
	}
	if q.Value != "" {
		p.values[which], err = fill(label+": value", q.Value, f)
		return err
	}
	return p.prepareCounts(which, failed, f)
}

func (p *Prometheus) prepareCounts(which side, failed []string, f fields) error {
	q, label := p.query, p.query.label()
	p.picks, p.texts = nil, nil
	asked := []struct {
		role role
		what string
		text string
	}{{requests, "requests", q.Requests}, {durations, "latency", q.Latency}}
	for _, text := range failed {
		if !areMatchers(text) {
			asked = append(asked, struct {
				role role
				what string
				text string
			}{failures, "errors", text})
			continue
		}
		text, err := fill(label+": errors", text, f)
		if err != nil {
			return err
		}
		pick, err := parseMatchers(text)
		if err != nil {
			return deploy.Usage(`write matchers such as code=~"5..", or a selector of its own`, "%s: errors: %s, in %s", label, err, shortened(text))
		}
		p.picks, p.texts = append(p.picks, pick), append(p.texts, text)
	}
	for _, a := range asked {
		if a.text == "" {
			continue
		}
		text, err := fill(label+": "+a.what, a.text, f)
		if err != nil {
			return err
		}
		if strings.HasSuffix(text, "]") {
			return deploy.Usage("leave the range in brackets out: raw samples are read as far back as needed", "%s: %s: %s has a range", label, a.what, shortened(text))
		}
		p.selectors[which] = append(p.selectors[which], selector{a.role, text})
	}
	return nil
}

// Measure asks for what is new.
func (p *Prometheus) Measure(ctx context.Context) (Reading, error) {
	if len(p.values) > 0 {
		return p.measureValue(ctx)
	}
	objects, err := p.fetch(ctx, p.lookBack(), time.Time{})
	if err != nil {
		return Reading{}, err
	}
	return p.read(objects)
}

// now is the time that is told of.
func (p *Prometheus) now() time.Time {
	if p.recalled.IsZero() {
		return time.Now()
	}
	return p.recalled
}

// read is the reading of what was fetched, if nothing is wrong with it.
func (p *Prometheus) read(objects map[side][]*object) (Reading, error) {
	missing, err := p.incomplete(objects)
	if err != nil {
		return Reading{}, err
	}
	if missing != nil && p.counter.began && len(objects[candidate]) > 0 {
		return Reading{Missing: []error{missing}}, nil
	}
	return p.count(objects), nil
}

// count is the reading of what was fetched.
func (p *Prometheus) count(objects map[side][]*object) Reading {
	began := p.counter.began
	counts, told := p.counter.take(objects, func(o *object) bool { return p.chosen.match(o.labels) && len(p.chosen) > 0 })
	if told != nothing || !began || len(objects[candidate]) == 0 {
		p.advanced = p.now()
	}
	r := Reading{Missing: p.unseen(objects)}
	switch told {
	case unsteady:
		r.Missing = append(r.Missing, p.wrong(p.selectors[candidate][0].query,
			errors.New("is not compared at the moment: the live version itself has changed, and both versions are not scraped at the same time"),
			"counts of a gateway, which are scraped for both versions at once, can always be compared"))
	case compared:
		r.Measures = []analysis.Measure{{
			Name: p.query.Name, Live: counts[live].traffic(), Candidate: counts[candidate].traffic(),
		}}
	}
	return r
}

// fetch reads the raw samples of both sides up to a time; zero is the server's
// own.
func (p *Prometheus) fetch(ctx context.Context, back time.Duration, at time.Time) (map[side][]*object, error) {
	answers := map[side][][]*object{}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	p.counter.single = p.alone.Load()
	for _, s := range sides {
		if s == live && (p.subject.Live.IsZero() || p.counter.single) {
			continue
		}
		answer := make([][]*object, len(p.selectors[s]))
		answers[s] = answer
		for i, sel := range p.selectors[s] {
			all.Go(func() (err error) {
				answer[i], err = p.samples(ctx, sel, back, at)
				return err
			})
		}
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	objects := map[side][]*object{}
	for s, lists := range answers {
		objects[s] = slices.Concat(lists...)
	}
	return objects, nil
}

// lookBack is how far back samples are read.
func (p *Prometheus) lookBack() time.Duration {
	if !p.counter.began {
		return firstRange
	}
	slowest := time.Duration(0)
	for _, i := range p.counter.intervals {
		slowest = max(slowest, time.Duration(i)*time.Millisecond)
	}
	if slowest == 0 {
		return firstRange
	}
	return min(p.now().Sub(p.advanced)+leastGone+6*slowest, longestRange)
}

func (p *Prometheus) samples(ctx context.Context, s selector, back time.Duration, at time.Time) ([]*object, error) {
	query := fmt.Sprintf("%s[%ds]", s.query, int(math.Ceil(back.Seconds())))
	v, err := p.client.ask(ctx, p.query.Name, query, at)
	if err != nil {
		return nil, err
	}
	unit := time.Second
	if s.role == durations {
		unit = p.query.LatencyUnit
	}
	objects, err := objectsOf(v, s.role, unit)
	if err != nil {
		return nil, p.wrong(s.query, err, "select counters and histograms of one version")
	}
	return objects, nil
}

// wrong is an answer that is of no use.
func (p *Prometheus) wrong(query string, err error, hint string) error {
	return deploy.Hinted(&QueryError{Metric: p.query.Name, Query: query, Server: p.client.address, Err: err}, "%s", hint)
}

// incomplete says what is missing so that nothing may be counted at all: a
// failed request must not go unseen because nobody looks in the right place.
//
// It is only missing where it may still come.
func (p *Prometheus) incomplete(objects map[side][]*object) (missing, err error) {
	counted := slices.DeleteFunc(slices.Concat(objects[live], objects[candidate]), func(o *object) bool { return o.role != requests })
	if len(p.picks) > 0 && len(p.chosen) == 0 && len(counted) > 0 {
		if p.chosen = p.choose(counted); p.chosen == nil {
			return nil, p.wrong(p.selectors[candidate][0].query,
				fmt.Errorf("none of the series has the label that %s asks for", strings.Join(p.texts, " or ")),
				fmt.Sprintf("write errors with a label that they have: %s", strings.Join(labelsOf(counted), ", ")))
		}
	}
	at := slices.IndexFunc(p.selectors[candidate], func(s selector) bool { return s.role == failures })
	if at < 0 || p.query.ErrorsMayBeAbsent {
		return nil, nil
	}
	if slices.ContainsFunc(slices.Concat(objects[live], objects[candidate]), func(o *object) bool { return o.role == failures }) {
		return nil, nil
	}
	query := p.selectors[candidate][at].query
	if len(counted) > 0 && p.sameSeries(query, counted) {
		return nil, nil
	}
	return p.wrong(query, errors.New("finds no series of either version, which is not counted as no errors"),
		"check the name and the labels; if they appear with the first error, write errors-may-be-absent: true"), nil
}

// choose takes the first alternative whose labels the series have.
func (p *Prometheus) choose(counted []*object) matchers {
	for _, pick := range p.picks {
		if slices.ContainsFunc(counted, func(o *object) bool { return hasLabels(o.labels, pick) }) {
			return pick
		}
	}
	return nil
}

func hasLabels(labels model.Metric, ms matchers) bool {
	for _, m := range ms {
		if _, has := labels[model.LabelName(m.label)]; !has {
			return false
		}
	}
	return true
}

// sameSeries says whether errors are selected by labels that the series of
// requests have, so that finding none means that there are none.
func (p *Prometheus) sameSeries(query string, counted []*object) bool {
	name, ms, ok := parseSelector(query)
	if !ok {
		return false
	}
	return slices.ContainsFunc(counted, func(o *object) bool {
		return string(o.labels[model.MetricNameLabel]) == name && hasLabels(o.labels, ms)
	})
}

// labelsOf series, but for the name of the metric.
func labelsOf(objects []*object) []string {
	names := map[string]bool{}
	for _, o := range objects {
		for name := range o.labels {
			if name != model.MetricNameLabel {
				names[string(name)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// unseen says which series nobody has, and what has not been scraped for long.
func (p *Prometheus) unseen(objects map[side][]*object) []error {
	if p.subject.Live.IsZero() {
		return []error{p.wrong(p.selectors[candidate][0].query, errors.New("has nothing to be compared with: there is no live version"),
			"a value is measured without one")}
	}
	var missing []error
	for _, s := range sides {
		if s == live && p.counter.single {
			continue
		}
		for _, sel := range p.selectors[s] {
			if sel.role == failures || slices.ContainsFunc(objects[s], func(o *object) bool { return o.role == sel.role }) {
				continue
			}
			missing = append(missing, p.wrong(sel.query, fmt.Errorf("finds no series of %s", p.subject.told(s)),
				"check the name and the labels; it is as it should be while no user has come to the version"))
		}
	}
	if silent := p.now().Sub(p.advanced); len(missing) == 0 && silent > p.patience() {
		missing = append(missing, p.wrong(p.selectors[candidate][0].query,
			fmt.Errorf("has had no new samples of %s for %s", p.counted(), silent.Round(time.Second)),
			"look at whether its targets are up; counting goes on when they have been scraped"))
	}
	return missing
}

// counted is who has to be scraped.
func (p *Prometheus) counted() string {
	if p.counter.single {
		return "the new version"
	}
	return "both versions"
}

// patience is how long nothing new is nothing to speak of.
func (p *Prometheus) patience() time.Duration {
	longest := leastGone
	for target := range p.counter.intervals {
		longest = max(longest, time.Duration(horizon(p.counter.intervals, target))*time.Millisecond)
	}
	return longest
}

// measureValue asks for one number of each version.
func (p *Prometheus) measureValue(ctx context.Context) (Reading, error) {
	numbers, missing := [len(sides)]float64{math.NaN(), math.NaN()}, [len(sides)]error{}
	// One that speaks of neither version is asked once, and said of the new one.
	common := p.values[live] == p.values[candidate]
	all, ctx := errgroup.WithContext(ctx)
	for _, s := range sides {
		if s == live && (common || p.subject.Live.IsZero()) {
			continue
		}
		all.Go(func() (err error) {
			numbers[s], missing[s], err = p.number(ctx, s)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return Reading{}, err
	}
	return Reading{
		Gauges:  []analysis.Gauge{{Name: p.query.Name, Live: numbers[live], Candidate: numbers[candidate]}},
		Missing: slices.DeleteFunc(missing[:], func(err error) bool { return err == nil }),
	}, nil
}

// number is the answer to a query that has one.
func (p *Prometheus) number(ctx context.Context, s side) (n float64, missing, err error) {
	query := p.values[s]
	v, err := p.client.ask(ctx, p.query.Name, query, time.Time{})
	if err != nil {
		return math.NaN(), nil, err
	}
	switch v := v.(type) {
	case *model.Scalar:
		n = float64(v.Value)
	case model.Vector:
		if len(v) == 0 {
			return math.NaN(), p.wrong(query, fmt.Errorf("finds nothing for %s", p.subject.told(s)), "check the names and the labels; no data is not zero"), nil
		}
		if len(v) > 1 || v[0].Histogram != nil {
			return math.NaN(), nil, p.wrong(query, fmt.Errorf("gives %d series, not one number", len(v)), "put sum(…) or avg(…) around it")
		}
		n = float64(v[0].Value)
	default:
		return math.NaN(), nil, p.wrong(query, fmt.Errorf("gives a %s, not a number", v.Type()), "put rate(…) around a range, and sum(…) around that")
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return math.NaN(), p.wrong(query, fmt.Errorf("gives %v for %s", n, p.subject.told(s)), "it divides by zero while there are no requests; no data is not zero"), nil
	}
	return n, nil, nil
}
