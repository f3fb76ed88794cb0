package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Measuring is what metrics come to: sources to ask, and who judges by them.
type Measuring struct {
	Sources Sources
	// Names are those of the metrics that have a source.
	Names []string
	// Every is how often they are asked: the shortest time that any of them
	// names, or zero, which leaves it to Watch.
	Every time.Duration
	// Judges are those with rules of their own.
	Judges []analysis.Judge
	// Rules say of the counts that both versions are compared by that they have
	// to be there.
	Rules []analysis.Rule
}

// Means are what whoever measures has at hand.
type Means struct {
	// Secret gives the value of the secret of a name.
	Secret func(name string) (string, bool)
	// Cluster makes a source of what a cluster tells of its replicas: a gauge with
	// the metric's name.
	Cluster func(m deploy.Metric) (Source, error)
}

// Measure makes sources and judges of metrics. Errors are usage errors and name
// the metric; all of them are told.
func Measure(list []deploy.Metric, subject Subject, warmUp time.Duration, by Means) (*Measuring, error) {
	m := &Measuring{}
	var errs []error
	for _, metric := range list {
		if err := m.add(metric, subject, warmUp, by); err != nil {
			errs = append(errs, fmt.Errorf("metric %s: %w", metric.Name, err))
		}
	}
	return m, errors.Join(errs...)
}

func (m *Measuring) add(metric deploy.Metric, subject Subject, warmUp time.Duration, by Means) error {
	if metric.Every > 0 && (m.Every == 0 || metric.Every < m.Every) {
		m.Every = metric.Every
	}
	subject.Namespace = cmp.Or(metric.Namespace, subject.Namespace)
	kind := KindTraffic
	if metric.Measured() {
		source, of, err := open(metric, subject, by)
		if err != nil {
			return err
		}
		m.Sources, kind = append(m.Sources, source), of
		m.Names = append(m.Names, metric.Name)
	}
	m.compare(metric, kind)
	return m.judge(metric, kind, subject.told(live), warmUp)
}

// open makes the source of a metric that has one, and says of what kind that is.
func open(metric deploy.Metric, subject Subject, by Means) (Source, Kind, error) {
	if metric.Kubernetes != "" {
		source, err := by.Cluster(metric)
		return source, KindValue, err
	}
	access, err := access(metric, by.Secret)
	if err != nil {
		return nil, "", err
	}
	if metric.Prometheus != "" {
		q := query(metric)
		source, err := NewPrometheus(Server{Address: metric.Prometheus, Access: access}, q, subject)
		return source, q.Kind(), err
	}
	source, err := NewHTTP(Endpoint{Name: metric.Name, Address: metric.Address, Access: access})
	return source, KindTraffic, err
}

// compare demands what both versions are compared by.
func (m *Measuring) compare(metric deploy.Metric, kind Kind) {
	switch {
	case !metric.Measured():
	case kind == KindTraffic:
		m.Rules = append(m.Rules, analysis.Rule{Metric: metric.Name + " errors", Required: true})
	case kind == KindEvents:
		m.Rules = append(m.Rules, analysis.Rule{Metric: metric.Name})
	}
}

// Take adds to a sample what has come in, and says what is not known.
func (m *Meter) Take(into *analysis.Sample) error {
	if into.Share >= 100 {
		m.sources.alone()
	}
	reading, err := m.Watcher.Take()
	reading.AddTo(into)
	return errors.Join(append(slices.Clip(reading.Missing), err)...)
}

// Begin asks the sources for the first time, and goes on in the background.
func (m *Measuring) Begin(ctx context.Context) (*Meter, error) {
	w, err := Watch(ctx, m.Sources, m.Every)
	if err != nil {
		return nil, err
	}
	return &Meter{w, m.Sources}, nil
}

// Recall asks the sources about a time that is over.
func (m *Measuring) Recall(ctx context.Context, p Past) ([]Moment, error) {
	p.Every = m.Every
	return m.Sources.Recall(ctx, p)
}

// Meter is a Watcher whose readings go into samples.
type Meter struct {
	*Watcher
	sources Sources
}

// judge adds who judges by the metric's own rules.
func (m *Measuring) judge(metric deploy.Metric, kind Kind, against string, warmUp time.Duration) error {
	if metric.Ratio > 0 || metric.AtMost > 0 {
		limit := &analysis.ResourceLimit{
			Gauge: metric.Name, Ratio: metric.Ratio, Limit: metric.AtMost, Least: metric.Least, For: metric.For, WarmUp: warmUp, Against: against,
		}
		if err := limit.Validate(); err != nil {
			return err
		}
		m.Judges = append(m.Judges, limit)
	}
	measured := ""
	if metric.Measured() {
		measured = metric.Name
	}
	if metric.Longest > 0 {
		m.Judges = append(m.Judges, &analysis.LatencyLimit{Quantile: metric.Quantile, Limit: metric.Longest, Measure: measured})
	}
	if metric.Conditions == nil {
		return nil
	}
	thresholds, err := thresholds(metric, measured, kind)
	if err != nil {
		return err
	}
	m.Judges = append(m.Judges, thresholds)
	return nil
}

func thresholds(metric deploy.Metric, measured string, kind Kind) (*analysis.Thresholds, error) {
	c := metric.Conditions
	t := &analysis.Thresholds{
		Metric: metric.Name, Measure: measured, Count: c.Count, Interval: c.Interval, InitialDelay: c.InitialDelay,
		FailureLimit: c.FailureLimit, InconclusiveLimit: c.InconclusiveLimit,
	}
	var err error
	if c.Success != "" {
		if t.Success, err = Condition(measured, kind, c.Success); err != nil {
			return nil, fmt.Errorf("success: %w", err)
		}
	}
	if c.Failure != "" {
		if t.Failure, err = Condition(measured, kind, c.Failure); err != nil {
			return nil, fmt.Errorf("failure: %w", err)
		}
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}

func query(m deploy.Metric) Query {
	return Query{
		Name: m.Name, Preset: m.Preset, Backend: m.Backend, Select: m.Select,
		Requests: m.Requests, Errors: m.Errors, Latency: m.Latency, Value: m.Value,
		LatencyUnit: m.LatencyUnit, ErrorsMayBeAbsent: m.ErrorsMayBeAbsent,
	}
}

// access opens a server with the secrets that a metric names.
func access(m deploy.Metric, secret func(string) (string, bool)) (Access, error) {
	a := Access{User: m.User, Headers: make(map[string]deploy.Secret, len(m.Headers))}
	var err error
	if a.Token, err = known(m.Token, secret); err != nil {
		return Access{}, err
	}
	if a.Password, err = known(m.Password, secret); err != nil {
		return Access{}, err
	}
	for _, header := range slices.Sorted(maps.Keys(m.Headers)) {
		if a.Headers[header], err = known(m.Headers[header], secret); err != nil {
			return Access{}, err
		}
		if strings.ContainsAny(a.Headers[header].Reveal(), "\r\n\x00") {
			return Access{}, deploy.Usage("take the end of the line out of it", "the secret %s cannot be sent in the header %s: it has several lines", m.Headers[header], header)
		}
	}
	return a, nil
}

// known is the secret of a name; without a name there is none.
func known(name string, secret func(string) (string, bool)) (deploy.Secret, error) {
	if name == "" {
		return deploy.Secret{}, nil
	}
	value, ok := secret(name)
	if !ok || value == "" {
		return deploy.Secret{}, deploy.Usage("give it as an environment variable; in a workflow: env: {"+name+": ${{ secrets."+name+" }}}",
			"no value for the secret %s", name)
	}
	return deploy.KnownSecret(name, "", value), nil
}
