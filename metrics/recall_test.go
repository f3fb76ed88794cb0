package metrics

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

func TestMomentsOfThePast(t *testing.T) {
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		every, lasts time.Duration
		want         int
		step         time.Duration
	}{
		{0, 12 * time.Second, 4, 5 * time.Second},
		{time.Second, 3 * time.Second, 4, time.Second},
		{time.Second, -time.Minute, 1, 0},
		{0, 24 * time.Hour, 2001, 43201 * time.Millisecond},
	} {
		now := since.Add(c.lasts)
		got := Past{Since: since, Every: c.every}.moments(now)
		if len(got) != c.want || !got[len(got)-1].Equal(now) {
			t.Errorf("%+v: %d moments up to %s", c, len(got), got[len(got)-1])
		}
		if c.step > 0 && got[1].Sub(got[0]) != c.step {
			t.Errorf("%+v: steps of %s", c, got[1].Sub(got[0]))
		}
	}
}

// recall asks about the past and adds up what was told of counts.
func recall(t *testing.T, s Recorder, p Past) (live, candidate deploy.Traffic, told []Moment) {
	t.Helper()
	told, err := s.Recall(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, moment := range told {
		for _, m := range moment.Measures {
			live, candidate = plus(live, m.Live), plus(candidate, m.Candidate)
		}
	}
	return live, candidate, told
}

// Nobody asks while it happens: what is told afterwards is exact all the same, a
// restart and a series that appears late included.
func thePastIsCounted(t *testing.T, r *running, name string) {
	one, two, s := both(t, r, name)
	since := time.Now()
	// A scrape that began before then may see what is counted after it.
	r.rests(t, name)
	one.serve(40, 200, 0.05)
	two.serve(30, 200, 0.05)
	s.until(t, 50, 40)
	two.restart()
	two.serve(60, 200, 0.05)
	two.serve(8, 503, 0.7)
	two.serve(2, 504, 0.7)
	one.serve(10, 200, 0.05)
	s.until(t, 60, 110)
	p := Past{Since: since, Every: 500 * time.Millisecond}
	live, candidate, told := recall(t, sourceFor(t, r.server(), counting(name)), p)
	// The live version, which has no users in such a time, is not asked.
	if live.Requests != 0 || candidate.Requests != 100 || candidate.Errors != 10 {
		t.Errorf("it is told that the live version got %+v, the new one %+v", live, candidate)
	}
	if diff := cmp.Diff([]uint64{90, 0, 10, 0}, candidate.Latency.Counts); diff != "" {
		t.Errorf("durations (-want +got):\n%s", diff)
	}
	if n := len(told); n < 3 || !told[0].At.Equal(since.Truncate(time.Millisecond)) || len(told[n-1].Missing) > 0 {
		t.Errorf("%d moments, the last one: %+v", n, told[n-1])
	}
	// The same by values, of which the last is as now.
	value := Query{Name: "n", Value: fmt.Sprintf(`sum(web_requests_total{case=%q,version="{{.Version}}"})`, name)}
	_, _, told = recall(t, Sources{sourceFor(t, r.server(), value)}, p)
	first, last := told[0].Gauges[0], told[len(told)-1].Gauges[0]
	if first.Name != "n" || first.Live != 110 || first.Candidate != 63 || last.Live != 160 || last.Candidate != 70 {
		t.Errorf("from %+v to %+v", first, last)
	}
	_, _, told = recall(t, sourceFor(t, r.server(), Query{Name: "n", Value: `web_requests_total{case="nobody"}`}), p)
	if m := told[len(told)-1]; !math.IsNaN(m.Gauges[0].Candidate) || len(m.Missing) != 1 || !strings.Contains(m.Missing[0].Error(), "finds nothing for the new version") {
		t.Errorf("of nobody: %+v", m)
	}
	for query, why := range map[string]string{
		fmt.Sprintf(`web_requests_total{case=%q}`, name): "series, not one number",
		`sum(rate(web_requests_total{case="x"})`:         "parse error",
	} {
		if _, err := sourceFor(t, r.server(), Query{Name: "n", Value: query}).Recall(context.Background(), p); err == nil || Temporary(err) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// A version that got worse while nobody looked is found by what is told of it.
func thePastIsJudged(t *testing.T, r *running, name string) {
	one, two, s := both(t, r, name)
	since := time.Now()
	// A scrape that began before then may see what is counted after it.
	r.rests(t, name)
	one.serve(40, 200, 0.05)
	two.serve(20, 200, 0.05)
	s.until(t, 50, 30)
	two.serve(20, 500, 0.05)
	one.serve(40, 200, 0.05)
	s.until(t, 90, 50)
	q := counting(name)
	m, err := Measure([]deploy.Metric{{
		Name: "web", Prometheus: r.server().Address, Requests: q.Requests, Errors: q.Errors, Every: 500 * time.Millisecond,
		Conditions: &deploy.Conditions{Success: "result.errors / result.requests < 0.1", Interval: time.Millisecond},
	}}, versions(), 0, Means{})
	if err != nil {
		t.Fatal(err)
	}
	told, err := m.Recall(context.Background(), Past{Since: since})
	if err != nil {
		t.Fatal(err)
	}
	bake := &analysis.Bake{Measure: "web", History: deploy.Traffic{Requests: 10000}}
	said := map[string]analysis.Verdict{}
	for _, moment := range told {
		sample := analysis.Sample{At: moment.At.Sub(since), Elapsed: moment.At.Sub(since), Part: analysis.PartMetrics, Share: 100}
		moment.AddTo(&sample)
		if len(sample.Others) == 0 {
			continue // nothing came in: a condition has nothing to be about
		}
		for _, o := range sample.Others {
			said["bake"] = bake.Observe(analysis.Sample{At: sample.At, Share: 100, Candidate: o.Candidate})
		}
		if v := said["condition"]; v.Decision != analysis.Revert {
			said["condition"] = m.Judges[0].Observe(sample)
		}
	}
	if v := said["bake"]; v.Decision != analysis.Revert || !strings.Contains(v.Why, "web errors 50% against 0% on the version before") {
		t.Errorf("held against the past: %s: %s", v.Decision, v.Why)
	}
	if v := said["condition"]; v.Decision != analysis.Revert || !strings.Contains(v.Why, "measurements of web failed") {
		t.Errorf("by a condition: %s: %s", v.Decision, v.Why)
	}
}

func TestThePastOfAnEndpoint(t *testing.T) {
	answer := line(10, 1, 0) + line(61, 2, 1) + line(75, 3, 0)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	defer s.Close()
	h, err := NewHTTP(Endpoint{Name: "web", Address: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-2 * time.Minute)
	_, candidate, told := recall(t, h, Past{Began: began, Since: began.Add(time.Minute)})
	if candidate.Requests != 5 || candidate.Errors != 1 || len(told) != 2 || !told[0].At.Equal(began.Add(61*time.Second)) {
		t.Errorf("%+v, at %+v", candidate, told)
	}
	// And it goes on from there.
	answer += line(80, 4, 0)
	r, err := h.Measure(context.Background())
	if err != nil || len(r.Measures) != 1 || r.Measures[0].Candidate.Requests != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	s.Close()
	if told, err := (Sources{h}).Recall(context.Background(), Past{Began: began, Since: began}); err == nil || !Temporary(err) || len(told) != 0 {
		t.Errorf("of one that does not answer: %v, %+v", err, told)
	}
}
