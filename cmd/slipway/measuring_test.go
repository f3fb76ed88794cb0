package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/metrics"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// What is missing at the last moment is not known now; what was missing before is
// nobody's business any more.
func TestRecalledMoments(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	moment := func(seconds int, missing string) metrics.Moment {
		return metrics.Moment{At: at.Add(time.Duration(seconds) * time.Second), Reading: metrics.Reading{
			Measures: []analysis.Measure{{Name: "web", Candidate: deploy.Traffic{Requests: 7}}},
			Gauges:   []analysis.Gauge{{Name: "cpu", Candidate: 0.5}}, Missing: []error{errors.New(missing)},
		}}
	}
	got, err := recalled([]metrics.Moment{moment(0, "the old one"), moment(5, "the new one")}, errors.New("and nobody answers"))
	if err == nil || !strings.Contains(err.Error(), "the new one") || !strings.Contains(err.Error(), "nobody answers") || strings.Contains(err.Error(), "the old one") {
		t.Errorf("it is not known: %v", err)
	}
	if len(got) != 2 || !got[1].At.Equal(at.Add(5*time.Second)) || got[1].Others[0].Candidate.Requests != 7 || got[1].Gauges[0].Candidate != 0.5 {
		t.Errorf("%+v", got)
	}
	if got, err := recalled(nil, nil); len(got) != 0 || err != nil {
		t.Errorf("of nothing: %+v, %v", got, err)
	}
}
