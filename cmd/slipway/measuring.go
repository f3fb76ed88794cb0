package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/metrics"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// measuring says what a rollout is judged by besides the requests that its
// target counts; nil where there is nothing.
func (s *session) measuring(p deploy.Plan) (*rollout.Measuring, error) {
	judging := p.Strategy.Judging
	subject := metrics.Subject{App: s.run.App, Environment: p.Environment, Live: p.Reference(), Candidate: p.Candidate}
	if t := s.placed[p.Environment]; t != nil {
		subject.Namespace, subject.Backend = t.Called("{{.Revision}}")
	}
	m, err := metrics.Measure(judging.Metrics, subject, max(judging.WarmUp, 0), metrics.Means{
		Secret: func(name string) (string, bool) {
			value := s.secretValue(name)
			return value, value != ""
		},
		Cluster: func(m deploy.Metric) (metrics.Source, error) { return s.usage(p, m) },
	})
	if err != nil {
		return nil, err
	}
	out := &rollout.Measuring{Names: m.Names, Judges: m.Judges, Rules: m.Rules}
	if len(m.Sources) > 0 {
		out.Begin = func(ctx context.Context) (rollout.Meter, error) { return m.Begin(ctx) }
		out.Recall = func(ctx context.Context, began, since time.Time) ([]rollout.Moment, error) {
			return recalled(m.Recall(ctx, metrics.Past{Began: began, Since: since}))
		}
	}
	return out, nil
}

// recalled are moments in the words of a rollout. What is missing at the last of
// them is not known now.
func recalled(told []metrics.Moment, err error) ([]rollout.Moment, error) {
	moments := make([]rollout.Moment, 0, len(told))
	for i, m := range told {
		var s analysis.Sample
		m.AddTo(&s)
		moments = append(moments, rollout.Moment{At: m.At, Others: s.Others, Gauges: s.Gauges})
		if i == len(told)-1 {
			err = errors.Join(append(slices.Clip(m.Missing), err)...)
		}
	}
	return moments, err
}

// validMetric refuses a metric that could not be asked for, without asking.
func validMetric(m deploy.Metric) error {
	made := func(version string) deploy.Revision {
		image := deploy.Image{Repository: "example", Digest: "sha256:" + version, Version: version}
		return deploy.NewRevision("example", deploy.Environment{Name: "example"}, image, nil)
	}
	subject := metrics.Subject{App: "example", Environment: "example", Live: made("1.0.0"), Candidate: made("1.1.0")}
	_, err := metrics.Measure([]deploy.Metric{m}, subject, 0, metrics.Means{
		Secret:  func(string) (string, bool) { return "any", true },
		Cluster: func(deploy.Metric) (metrics.Source, error) { return metrics.Sources(nil), nil },
	})
	return err
}
