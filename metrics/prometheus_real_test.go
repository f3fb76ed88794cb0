package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// versions 1 is live, 2 is the candidate.
func versions() Subject {
	return Subject{
		App: "shop", Environment: "production",
		Live:      deploy.Revision{ID: "aaa", Image: deploy.Image{Version: "1"}},
		Candidate: deploy.Revision{ID: "bbb", Image: deploy.Image{Version: "2"}},
	}
}

// counting is a query for the counters of one test.
func counting(name string) Query {
	choose := fmt.Sprintf(`{case=%q,version="{{.Version}}"}`, name)
	return Query{
		Requests: "web_requests_total" + choose, Errors: `code=~"5.."`,
		Latency: "http_request_duration_seconds_bucket" + choose,
	}
}

func sourceFor(t *testing.T, s Server, q Query) *Prometheus {
	t.Helper()
	p, err := NewPrometheus(s, q, versions())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func scraped(name, version string) string {
	return fmt.Sprintf(`sum(web_requests_total{case=%q,version=%q})`, name, version)
}

// One Prometheus does for all: every test has apps of its own.
func TestAgainstAPrometheus(t *testing.T) {
	r := startPrometheus(t)
	for name, test := range map[string]func(*testing.T, *running, string){
		"counts are exact":                         countsAreExact,
		"a restart loses nothing":                  aRestartLosesNothing,
		"a failed scrape drops both":               aFailedScrapeDropsBoth,
		"replicas come and go":                     replicasComeAndGo,
		"a judge finds the worse version":          aJudgeFindsTheWorseVersion,
		"native histograms":                        nativeHistograms,
		"ready-made queries":                       readyMadeQueries,
		"events":                                   eventsAreCounted,
		"values":                                   values,
		"wrong queries are told":                   wrongQueriesAreTold,
		"errors are not taken for zero":            errorsAreNotTakenForZero,
		"it is entered by a token or a password":   entered,
		"a label that nobody has is no zero":       aLabelThatNobodyHas,
		"a version without series is told missing": aVersionWithoutSeries,
		"the past is counted":                      thePastIsCounted,
		"the past is judged":                       thePastIsJudged,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, r, strings.ReplaceAll(name, " ", "-"))
		})
	}
}

func countsAreExact(t *testing.T, r *running, name string) {
	one, two := startApp(t, "1"), startApp(t, "2")
	one.serve(1000, 200, 0.05)
	one.serve(7, 500, 0.05)
	r.scrape(t, name, one)
	r.until(t, scraped(name, "1"), 1007)

	s := &sums{source: sourceFor(t, r.server(), counting(name))}
	if first := s.measure(t); len(first.Measures) > 0 || len(first.Missing) != 2 {
		t.Fatalf("the first call says %+v", first)
	}
	// What the live version gets while nobody can be compared with it is not told.
	one.serve(30, 200, 0.05)
	r.until(t, scraped(name, "1"), 1037)
	if r := s.measure(t); len(r.Measures) > 0 {
		t.Fatalf("of one version alone: %+v", r.Measures)
	}
	// The new version appears, with what it has done before its first scrape.
	two.serve(5, 200, 0.3)
	two.serve(2, 503, 2)
	r.scrape(t, name, one, two)
	s.until(t, 0, 7)
	one.serveBoth(90, 10, 0.3) // of which one series appears late
	two.serve(20, 200, 0.05)
	s.until(t, 100, 27)
	want := deploy.Traffic{Requests: 100, Errors: 10, Latency: deploy.Histogram{Le: []float64{0.1, 0.5, 1}, Counts: []uint64{0, 90, 10, 0}}}
	if diff := cmp.Diff(want, s.live); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
	want = deploy.Traffic{Requests: 27, Errors: 2, Latency: deploy.Histogram{Le: []float64{0.1, 0.5, 1}, Counts: []uint64{20, 5, 0, 2}}}
	if diff := cmp.Diff(want, s.candidate); diff != "" {
		t.Errorf("candidate (-want +got):\n%s", diff)
	}
}

// both are two versions that are measured already.
func both(t *testing.T, r *running, name string) (one, two *app, s *sums) {
	one, two = startApp(t, "1"), startApp(t, "2")
	one.serve(100, 200, 0.05)
	two.serve(50, 200, 0.05)
	two.serve(3, 500, 0.05)
	r.scrape(t, name, one, two)
	r.until(t, scraped(name, "1"), 100)
	r.until(t, scraped(name, "2"), 53)
	s = &sums{source: sourceFor(t, r.server(), counting(name))}
	s.measure(t)
	one.serve(10, 200, 0.05)
	two.serve(10, 200, 0.05)
	s.until(t, 10, 10)
	return one, two, s
}

func aRestartLosesNothing(t *testing.T, r *running, name string) {
	one, two, s := both(t, r, name)
	// Fewer requests than before, but more errors, and more slow ones: neither
	// of these counters has fallen.
	two.restart()
	two.serve(20, 200, 0.05)
	two.serve(5, 500, 0.7)
	one.serve(30, 200, 0.05)
	s.until(t, 40, 35)
	if s.candidate.Errors != 5 {
		t.Errorf("counted %d errors, not 5", s.candidate.Errors)
	}
	if diff := cmp.Diff([]uint64{30, 0, 5, 0}, s.candidate.Latency.Counts); diff != "" {
		t.Errorf("durations (-want +got):\n%s", diff)
	}
	// And once more, with the other one.
	one.restart()
	one.serve(60, 200, 0.05)
	two.serve(1, 200, 0.05)
	s.until(t, 100, 36)
}

func aFailedScrapeDropsBoth(t *testing.T, r *running, name string) {
	one, two, s := both(t, r, name)
	two.fail(true)
	r.until(t, fmt.Sprintf(`up{case=%q,version="2"}`, name), 0)
	s.measure(t) // what the last good scrape had
	one.serve(500, 200, 0.05)
	two.serve(200, 200, 0.05)
	two.serve(7, 500, 0.05)
	r.until(t, scraped(name, "1"), 610)
	for range 5 {
		if r := s.measure(t); len(r.Measures) > 0 {
			t.Fatalf("one of both was not scraped, and yet: %+v", r.Measures)
		}
	}
	two.fail(false)
	one.serve(1, 200, 0.05)
	two.serve(1, 200, 0.05)
	s.until(t, 511, 218)
	if s.candidate.Errors != 7 || s.live.Errors != 0 {
		t.Errorf("counted %d and %d errors, not 0 and 7", s.live.Errors, s.candidate.Errors)
	}
}

func replicasComeAndGo(t *testing.T, r *running, name string) {
	one, two, s := both(t, r, name)
	// A second replica of the live version, which has counted for long: nobody
	// knows since when.
	other := startApp(t, "1")
	other.serve(5000, 200, 0.05)
	r.scrape(t, name, one, other, two)
	r.until(t, scraped(name, "1"), 5110)
	two.serve(1, 200, 0.05)
	s.until(t, 10, 11)
	other.serve(7, 200, 0.05)
	two.serve(1, 200, 0.05)
	s.until(t, 17, 12)
	// The first one is gone. After a while nobody waits for it any more.
	r.scrape(t, name, other, two)
	other.serve(3, 200, 0.05)
	two.serve(1, 200, 0.05)
	s.until(t, 20, 13)
	// Until it comes back: that time has been counted without it.
	r.until(t, fmt.Sprintf(`count(web_requests_total{case=%q,version="1"})`, name), 1)
	time.Sleep(leastGone + 2*time.Second) // it is away for longer than a slow scrape
	two.serve(1, 200, 0.05)
	s.until(t, 20, 14)
	one.serve(999, 200, 0.05)
	r.scrape(t, name, one, other, two)
	r.until(t, fmt.Sprintf(`count(web_requests_total{case=%q,version="1"})`, name), 2)
	two.serve(1, 200, 0.05)
	s.until(t, 20, 15)
	one.serve(4, 200, 0.05)
	two.serve(1, 200, 0.05)
	s.until(t, 24, 16)
}

func nativeHistograms(t *testing.T, r *running, name string) {
	one, two := startApp(t, "1"), startApp(t, "2")
	one.serve(10, 200, 0.01)
	two.serve(10, 200, 0.01)
	r.scrape(t, name, one, two)
	count := func(version string) string {
		return fmt.Sprintf(`histogram_count(native_seconds{case=%q,version=%q})`, name, version)
	}
	r.until(t, count("1"), 10)
	r.until(t, count("2"), 10)
	choose := fmt.Sprintf(`native_seconds{case=%q,version="{{.Version}}"}`, name)
	s := &sums{source: sourceFor(t, r.server(), Query{Requests: choose, Errors: `code=~"5.."`, Latency: choose})}
	s.measure(t)
	one.serve(40, 200, 0.01)
	one.serve(20, 200, 0.3)
	two.serve(30, 200, 0.3)
	two.serve(5, 500, 3)
	s.until(t, 60, 35)
	two.restart()
	two.serve(3, 200, 90) // above all bounds
	one.serve(1, 200, 0.0001)
	s.until(t, 61, 38)
	if s.candidate.Errors != 5 {
		t.Errorf("counted %d errors, not 5", s.candidate.Errors)
	}
	for side, c := range map[string]struct {
		got  deploy.Histogram
		want map[float64]uint64 // by a duration in the bucket
	}{
		"live":      {s.live.Latency, map[float64]uint64{0.01: 40, 0.3: 20, 0.0001: 1}},
		"candidate": {s.candidate.Latency, map[float64]uint64{0.3: 30, 3: 5, 90: 3}},
	} {
		if len(c.got.Le) != 65 || c.got.Le[0] != 1.0/1024 || c.got.Le[64] != 64 {
			t.Fatalf("%s: %d bounds: %v", side, len(c.got.Le), c.got.Le)
		}
		for i, n := range c.got.Counts {
			var want uint64
			for seconds, count := range c.want {
				above := i == 0 || seconds > c.got.Le[i-1]
				below := i == len(c.got.Le) || seconds <= c.got.Le[i]
				if above && below {
					want += count
				}
			}
			if n != want {
				t.Errorf("%s: bucket %d has %d, not %d", side, i, n, want)
			}
		}
	}
}

func readyMadeQueries(t *testing.T, r *running, name string) {
	one, two, _ := both(t, r, name)
	s := &sums{source: sourceFor(t, r.server(), Query{Preset: "http", Select: fmt.Sprintf(`case=%q, version="{{.Version}}"`, name)})}
	s.measure(t)
	one.serve(5, 200, 0.3)
	two.serve(2, 503, 0.3)
	s.until(t, 5, 2)
	if s.candidate.Errors != 2 || s.live.Errors != 0 || s.live.Latency.Counts[1] != 5 {
		t.Errorf("counted %+v and %+v", s.live, s.candidate)
	}
}

func aJudgeFindsTheWorseVersion(t *testing.T, r *running, name string) {
	one, two, s := both(t, r, name)
	judge := &analysis.Sequential{}
	var v analysis.Verdict
	began := time.Now()
	for time.Since(began) < patienceOfTests && v.Decision != analysis.Revert {
		one.serveBoth(95, 1, 0.05)
		two.serveBoth(4, 1, 0.05)
		sample := analysis.Sample{At: time.Since(began), Share: 5}
		s.measure(t).AddTo(&sample)
		v = judge.Observe(sample)
		time.Sleep(50 * time.Millisecond)
	}
	if v.Decision != analysis.Revert || v.Metric != "errors" || !strings.Contains(v.Why, "on the live version") {
		t.Errorf("the judge says %s: %s", v.Decision, v.Why)
	}
}

func eventsAreCounted(t *testing.T, r *running, name string) {
	one, two, _ := both(t, r, name)
	s := &sums{source: sourceFor(t, r.server(), Query{Name: "restarts", Errors: fmt.Sprintf(`web_requests_total{case=%q,version="{{.Version}}",code="200"}`, name)})}
	s.measure(t)
	one.serve(1, 200, 0.1)
	two.serve(4, 200, 0.1)
	for deadline := time.Now().Add(patienceOfTests); s.candidate.Errors < 4 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		s.measure(t)
	}
	if s.live.Errors != 1 || s.candidate.Errors != 4 || s.candidate.Requests != 0 {
		t.Errorf("counted %+v and %+v", s.live, s.candidate)
	}
}

func values(t *testing.T, r *running, name string) {
	both(t, r, name)
	gauge := func(q string) Reading {
		t.Helper()
		reading, err := sourceFor(t, r.server(), Query{Name: "n", Value: q}).Measure(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return reading
	}
	if g := gauge(fmt.Sprintf(`sum(web_requests_total{case=%q,version="{{.Version}}"})`, name)).Gauges[0]; g.Name != "n" || g.Live != 110 || g.Candidate != 63 {
		t.Errorf("of both: %+v", g)
	}
	if g := gauge("scalar(vector(7))").Gauges[0]; g.Candidate != 7 || !math.IsNaN(g.Live) {
		t.Errorf("of none: %+v", g)
	}
	for query, why := range map[string]string{
		`web_requests_total{case="nobody"}`: "finds nothing for the new version",
		`vector(0) / vector(0)`:             "gives NaN for the new version",
	} {
		reading := gauge(query)
		if g := reading.Gauges[0]; !math.IsNaN(g.Candidate) || len(reading.Missing) != 1 || !strings.Contains(reading.Missing[0].Error(), why) || deploy.HintOf(reading.Missing[0]) == "" {
			t.Errorf("%s: %+v", query, reading)
		}
	}
}

func wrongQueriesAreTold(t *testing.T, r *running, name string) {
	both(t, r, name)
	for _, c := range []struct {
		query Query
		why   string
		hint  string
	}{
		{Query{Name: "n", Value: `sum(rate(web_requests_total{case="x"})`}, "parse error", "web page"},
		{Query{Requests: `sum(web_requests_total)`, Errors: `code="500"`}, "ranges only allowed for vector selectors", "without functions"},
		{Query{Requests: `web_requests_total{case=`, Errors: `code="500"`}, "parse error", "web page"},
		{Query{Name: "n", Value: fmt.Sprintf(`web_requests_total{case=%q}`, name)}, "series, not one number", "sum(…)"},
		{Query{Name: "n", Value: `up[1m]`}, "gives a matrix, not a number", "rate(…)"},
		{Query{Name: "n", Value: `"text"`}, "not an answer of Prometheus that can be used", "look at the query"},
		{Query{Latency: fmt.Sprintf(`http_request_duration_seconds_count{case=%q}`, name)}, "no bound in a label le", ""},
	} {
		_, err := sourceFor(t, r.server(), c.query).Measure(context.Background())
		var wrong *QueryError
		if !errors.As(err, &wrong) || Temporary(err) || !strings.Contains(err.Error(), c.why) || !strings.Contains(deploy.HintOf(err), c.hint) || deploy.HintOf(err) == "" {
			t.Errorf("%+v: got %v, hint %q", c.query, err, deploy.HintOf(err))
			continue
		}
		if !strings.Contains(err.Error(), wrong.Query[:5]) || !strings.Contains(err.Error(), r.address) {
			t.Errorf("the error names neither query nor server: %v", err)
		}
	}
}

func errorsAreNotTakenForZero(t *testing.T, r *running, name string) {
	one, two, _ := both(t, r, name)
	choose := fmt.Sprintf(`{case=%q,version="{{.Version}}"`, name)
	q := Query{Requests: "web_requests_total" + choose + "}", Errors: "web_failures_total" + choose + "}"}
	s := &sums{source: sourceFor(t, r.server(), q)}
	s.measure(t)
	one.serve(1, 200, 0.1)
	two.serve(1, 200, 0.1)
	r.until(t, scraped(name, "2"), 64)
	r.until(t, scraped(name, "1"), 111)
	reading := s.measure(t)
	if len(reading.Measures) > 0 || len(reading.Missing) != 1 || !strings.Contains(reading.Missing[0].Error(), "not counted as no errors") {
		t.Errorf("got %+v", reading)
	}
	// The same metric with a code that nobody has answered yet is zero.
	r.rests(t, name)
	q.Errors = "web_requests_total" + choose + `,code="599"}`
	s = &sums{source: sourceFor(t, r.server(), q)}
	s.measure(t)
	one.serve(1, 200, 0.1)
	two.serve(1, 200, 0.1)
	s.until(t, 1, 1)
	// And so is what the user says is.
	r.rests(t, name)
	q.Errors, q.ErrorsMayBeAbsent = "web_failures_total"+choose+"}", true
	s = &sums{source: sourceFor(t, r.server(), q)}
	s.measure(t)
	one.serve(1, 200, 0.1)
	two.serve(1, 200, 0.1)
	s.until(t, 1, 1)
}

func aLabelThatNobodyHas(t *testing.T, r *running, name string) {
	both(t, r, name)
	q := counting(name)
	q.Errors = `status=~"5.."`
	_, err := sourceFor(t, r.server(), q).Measure(context.Background())
	if err == nil || !strings.Contains(err.Error(), `none of the series has the label that status=~"5.." asks for`) ||
		!strings.Contains(deploy.HintOf(err), "case, code, instance, job, version") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}

func aVersionWithoutSeries(t *testing.T, r *running, name string) {
	one := startApp(t, "1")
	one.serve(1, 200, 0.1)
	r.scrape(t, name, one)
	r.until(t, scraped(name, "1"), 1)
	s := &sums{source: sourceFor(t, r.server(), Query{Requests: counting(name).Requests, Errors: `code=~"5.."`})}
	reading := s.measure(t)
	if len(reading.Missing) != 1 || !strings.Contains(reading.Missing[0].Error(), "finds no series of the new version") {
		t.Errorf("got %+v", reading)
	}
}

func entered(t *testing.T, r *running, name string) {
	both(t, r, name)
	target, err := url.Parse("http://" + r.address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Header.Get("Authorization") != "Bearer s3cret" && (user != "kim" || password != "pa55") || r.Header.Get("X-Scope-Orgid") != "shop" {
			http.Error(w, "you said "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer door.Close()
	secret := func(v string) deploy.Secret { return deploy.KnownSecret("PROMETHEUS", "1", v) }
	headers := map[string]deploy.Secret{"X-Scope-OrgID": secret("shop")}
	for _, c := range []struct {
		access Access
		fine   bool
	}{
		{Access{Token: secret("s3cret"), Headers: headers}, true},
		{Access{User: "kim", Password: secret("pa55"), Headers: headers}, true},
		{Access{Token: secret("other"), Headers: headers}, false},
		{Access{Headers: headers}, false},
		{Access{Token: secret("s3cret")}, false},
	} {
		_, err := sourceFor(t, Server{Address: door.URL, Access: c.access}, Query{Name: "n", Value: "scalar(vector(1))"}).Measure(context.Background())
		switch {
		case c.fine && err != nil:
			t.Errorf("%+v: %v", c.access, err)
		case !c.fine && (err == nil || Temporary(err) || !strings.Contains(err.Error(), "answered 401") || !strings.Contains(deploy.HintOf(err), "token")):
			t.Errorf("%+v: got %v", c.access, err)
		case !c.fine && (strings.Contains(err.Error(), "other") || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}
