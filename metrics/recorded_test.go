package metrics

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// recorded answers a query with what was recorded for a part of it, such as the
// version that it names.
type recorded struct {
	*httptest.Server
	// answers are results of matrices by a part of the query.
	answers map[string]string
}

// of is the part of a query for a metric of a version.
func of(metric, version string) string { return fmt.Sprintf("%s{version=%q}", metric, version) }

func record(t *testing.T) *recorded {
	r := &recorded{answers: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for part, answer := range r.answers {
			if strings.Contains(req.FormValue("query"), part) {
				fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, answer)
				return
			}
		}
		http.Error(w, req.FormValue("query"), http.StatusNotImplemented)
	}))
	t.Cleanup(r.Close)
	return r
}

// series is one series with its samples: time in seconds and value.
func series(labels string, samples ...[2]float64) string {
	var values []string
	for _, s := range samples {
		values = append(values, fmt.Sprintf(`[%v,"%v"]`, s[0], s[1]))
	}
	return fmt.Sprintf(`{"metric":{%s},"values":[%s]}`, labels, strings.Join(values, ","))
}

const (
	replicaA = `"__name__":"r","job":"j","instance":"a","code":"200"`
	replicaB = `"__name__":"r","job":"j","instance":"b","code":"200"`
	failedA  = `"__name__":"r","job":"j","instance":"a","code":"500"`
	failedB  = `"__name__":"r","job":"j","instance":"b","code":"500"`
)

func at(pairs ...float64) (samples [][2]float64) {
	for i := 0; i < len(pairs); i += 2 {
		samples = append(samples, [2]float64{pairs[i], pairs[i+1]})
	}
	return samples
}

// Each step is what both versions answer, and what is counted then: requests
// and errors of the live version, and of the new one; nil for nothing.
func TestWindows(t *testing.T) {
	type step struct {
		live, candidate string
		want            []uint64
	}
	for name, steps := range map[string][]step{
		"scrapes at different times": {
			{series(replicaA, at(0, 10, 15, 20)...), series(replicaB, at(10, 5)...), nil},
			// The new version is at 25, the live one nearest to that at 30.
			{series(replicaA, at(15, 20, 30, 33)...), series(replicaB, at(10, 5, 25, 9)...), []uint64{13, 0, 4, 0}},
			{series(replicaA, at(30, 33)...), series(replicaB, at(25, 9, 40, 11)...), nil},
			{series(replicaA, at(30, 33, 45, 34)...), series(replicaB, at(25, 9, 40, 11)...), []uint64{1, 0, 2, 0}},
		},
		"a scrape of the live version fails": {
			{series(replicaA, at(0, 10, 15, 20)...), series(replicaB, at(10, 5)...), nil},
			{series(replicaA, at(15, 20)...), series(replicaB, at(10, 5, 25, 9)...), nil},
			{series(replicaA, at(15, 20, 45, 50)...), series(replicaB, at(10, 5, 25, 9, 40, 12)...), []uint64{30, 0, 7, 0}},
		},
		"one is scraped four times as often": {
			{series(replicaA, at(0, 10, 60, 20)...), series(replicaB, at(45, 1, 60, 2)...), nil},
			{series(replicaA, at(60, 20)...), series(replicaB, at(60, 2, 75, 3, 90, 4)...), nil},
			{series(replicaA, at(60, 20, 120, 80)...), series(replicaB, at(60, 2, 75, 3, 90, 4, 105, 5, 120, 6, 135, 7)...), []uint64{60, 0, 4, 0}},
		},
		"errors appear": {
			{series(replicaA, at(0, 10, 15, 20)...), series(replicaB, at(0, 5, 15, 5)...), nil},
			{series(replicaA, at(15, 20, 30, 25)...), series(replicaB, at(15, 5, 30, 6)...) + "," + series(failedB, at(30, 3)...), []uint64{5, 0, 4, 3}},
		},
		"a restart between two scrapes": {
			{series(replicaA, at(0, 10, 15, 20)...), series(replicaB, at(0, 5, 15, 50)...) + "," + series(failedB, at(0, 1, 15, 2)...), nil},
			{
				series(replicaA, at(15, 20, 30, 25)...),
				series(replicaB, at(15, 50, 30, 6)...) + "," + series(failedB, at(15, 2, 30, 4)...),
				[]uint64{5, 0, 10, 4},
			},
		},
		"a small counter falls alone": {
			{series(replicaA, at(0, 1000, 15, 2000)...) + "," + series(failedA, at(0, 7, 15, 9)...), series(replicaB, at(0, 5, 15, 5)...), nil},
			{
				series(replicaA, at(15, 2000, 30, 2100)...) + "," + series(failedA, at(15, 9, 30, 3)...),
				series(replicaB, at(15, 5, 30, 6)...),
				[]uint64{103, 3, 1, 0},
			},
		},
		"a restart while nobody looked": {
			{series(replicaA, at(0, 10, 15, 20)...), series(replicaB, at(0, 5, 15, 50)...), nil},
			{series(replicaA, at(15, 20, 30, 25, 45, 26)...), series(replicaB, at(15, 50, 30, 3, 45, 9)...), []uint64{6, 0, 9, 0}},
		},
		"the same again": {
			{series(replicaA, at(0, 10, 15, 20)...), series(replicaB, at(0, 5, 15, 50)...), nil},
			{series(replicaA, at(0, 10, 15, 20)...), series(replicaB, at(0, 5, 15, 50)...), nil},
		},
		"one replica of two was not scraped": {
			{series(replicaA, at(0, 10, 15, 20)...) + "," + series(replicaB, at(0, 10, 15, 20)...), series(`"instance":"c","code":"200"`, at(0, 5, 15, 5)...), nil},
			{
				series(replicaA, at(15, 20, 30, 21, 45, 22)...) + "," + series(replicaB, at(15, 20)...),
				// At 30 it may just be late: scrapes are spread over the interval.
				series(`"instance":"c","code":"200"`, at(15, 5, 30, 6, 45, 7)...),
				[]uint64{1, 0, 1, 0},
			},
			{
				series(replicaA, at(30, 21, 45, 22, 60, 23)...) + "," + series(replicaB, at(15, 20, 60, 50)...),
				series(`"instance":"c","code":"200"`, at(15, 5, 30, 6, 45, 7, 60, 8)...),
				[]uint64{32, 0, 2, 0},
			},
		},
		"a replica is gone for good": {
			{series(replicaA, at(0, 10, 15, 20)...) + "," + series(replicaB, at(0, 10, 15, 20)...), series(`"instance":"c","code":"200"`, at(0, 5, 15, 5)...), nil},
			{
				series(replicaA, at(15, 20, 30, 21, 90, 22)...) + "," + series(replicaB, at(15, 20, 18, 22)...),
				series(`"instance":"c","code":"200"`, at(15, 5, 30, 6, 90, 7)...),
				[]uint64{4, 0, 2, 0},
			},
		},
		"both on one gateway": {
			{series(`"instance":"g","s":"old","code":"200"`, at(0, 10, 15, 20)...), "", nil},
			{series(`"instance":"g","s":"old","code":"200"`, at(15, 20, 30, 30)...), "", nil},
			{series(`"instance":"g","s":"old","code":"200"`, at(30, 30, 45, 41)...), series(`"instance":"g","s":"new","code":"500"`, at(45, 4)...), []uint64{11, 0, 4, 4}},
		},
		"a new version has been scraped once": {
			{series(replicaA, at(0, 10, 15, 20)...), "", nil},
			{series(replicaA, at(15, 20, 30, 30)...), series(replicaB, at(30, 7)...), []uint64{10, 0, 7, 0}},
		},
		"nobody was scraped at first": {
			{"", "", nil},
			{series(replicaA, at(15, 1000)...), series(replicaB, at(15, 700)...), []uint64{0, 0, 0, 0}},
			{series(replicaA, at(15, 1000, 30, 1001)...), series(replicaB, at(15, 700, 30, 702)...), []uint64{1, 0, 2, 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := record(t)
			q := Query{Requests: `r{version="{{.Version}}"}`, Errors: `code=~"5.."`}
			p := sourceFor(t, Server{Address: server.URL}, q)
			for i, s := range steps {
				server.answers[of("r", "1")], server.answers[of("r", "2")] = s.live, s.candidate
				r, err := p.Measure(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				var got []uint64
				for _, m := range r.Measures {
					got = append(got, m.Live.Requests, m.Live.Errors, m.Candidate.Requests, m.Candidate.Errors)
				}
				if diff := cmp.Diff(s.want, got); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i+1, diff)
				}
			}
		})
	}
}

func TestTheFirstVersionHasNothingToBeComparedWith(t *testing.T) {
	server := record(t)
	s := versions()
	s.Live = deploy.Revision{}
	p, err := NewPrometheus(Server{Address: server.URL}, Query{Requests: `r{version="{{.Version}}"}`, Errors: `code=~"5.."`}, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, seconds := range []float64{0, 15, 30} {
		server.answers[of("r", "2")] = series(replicaA, at(seconds, seconds)...)
		r, err := p.Measure(context.Background())
		if err != nil || len(r.Measures) > 0 || len(r.Missing) != 1 || !strings.Contains(r.Missing[0].Error(), "there is no live version") {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
}

// The durations were asked for a moment before the last scrape, and the
// requests a moment after it.
func TestRequestsAndDurationsAreOfTheSameScrapes(t *testing.T) {
	server := record(t)
	q := Query{Requests: `r{version="{{.Version}}"}`, Errors: `code=~"5.."`, Latency: `l{version="{{.Version}}"}`}
	p := sourceFor(t, Server{Address: server.URL}, q)
	bucket := `"__name__":"l","job":"j","instance":"a","code":"200","le":"+Inf"`
	measure := func(requests, durations [][2]float64) []analysis.Measure {
		t.Helper()
		for _, v := range []string{"1", "2"} {
			server.answers[of("r", v)] = series(replicaA, requests...)
			server.answers[of("l", v)] = series(bucket, durations...)
		}
		r, err := p.Measure(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return r.Measures
	}
	measure(at(0, 10, 15, 20), at(0, 10, 15, 20))
	if got := measure(at(15, 20, 30, 27), at(15, 20)); len(got) > 0 {
		t.Errorf("counted %+v", got)
	}
	got := measure(at(15, 20, 30, 27), at(15, 20, 30, 27))
	if len(got) != 1 || got[0].Live.Requests != 7 || got[0].Live.Latency.Counts[0] != 7 || got[0].Candidate.Latency.Counts[0] != 7 {
		t.Errorf("counted %+v", got)
	}
}

// Prometheus 3 tells histograms with buckets of one's own as native ones.
func TestNativeHistogramsWithBucketsOfTheirOwn(t *testing.T) {
	hist := func(first, second string) string {
		return fmt.Sprintf(`{"metric":{"instance":"a","code":"200"},"histograms":[[0,{"count":"10","sum":"1","buckets":[%s]}],[15,{"count":"10","sum":"1","buckets":[%s]}]]}`, first, second)
	}
	server := record(t)
	q := Query{Latency: `r{version="{{.Version}}"}`, LatencyUnit: time.Millisecond}
	p := sourceFor(t, Server{Address: server.URL}, q)
	before := `[0,"0","100","1"],[0,"100","250","2"]`
	for _, after := range []string{before, `[0,"0","100","4"],[0,"100","250","6"]`} {
		server.answers[of("r", "1")], server.answers[of("r", "2")] = hist(before, before), hist(before, after)
		if after != before {
			server.answers[of("r", "1")] = strings.ReplaceAll(server.answers[of("r", "1")], "[15,", "[30,")
			server.answers[of("r", "2")] = strings.ReplaceAll(server.answers[of("r", "2")], "[15,", "[30,")
		}
		r, err := p.Measure(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if after == before {
			continue
		}
		want := deploy.Histogram{Le: []float64{0.1, 0.25}, Counts: []uint64{3, 4, 0}}
		if diff := cmp.Diff(want, r.Measures[0].Candidate.Latency); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestServersThatDoNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer    func(w http.ResponseWriter)
		why, hint string
		temporary bool
	}{
		"500":        {func(w http.ResponseWriter) { http.Error(w, "disk is full", 500) }, "answered 500 Internal Server Error: disk is full", "its log", true},
		"404":        {func(w http.ResponseWriter) { http.Error(w, "no such page", 404) }, "answered 404 Not Found: no such page", "/api/v1", false},
		"403":        {func(w http.ResponseWriter) { http.Error(w, "no", http.StatusForbidden) }, "answered 403", "may read", false},
		"429":        {func(w http.ResponseWriter) { http.Error(w, "slow down", http.StatusTooManyRequests) }, "answered 429", "less often", true},
		"a web page": {func(w http.ResponseWriter) { fmt.Fprint(w, "<html>Please sign in</html>") }, "not an answer of Prometheus", "in front of it", false},
		"too many": {func(w http.ResponseWriter) {
			fail(w, 422, "execution", "query processing would load too many samples into memory")
		}, "too many samples", "fewer series", false},
		"a parse error": {func(w http.ResponseWriter) { fail(w, 400, "bad_data", "1:5: parse error: unexpected end") }, "1:5: parse error", "web page", false},
		"warnings": {func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"status":"success","warnings":["store 10.0.0.1 is gone"],"data":{"resultType":"vector","result":[]}}`)
		}, "may not be whole: store 10.0.0.1 is gone", "stores", true},
		"no end": {func(w http.ResponseWriter) {
			for range 40 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, "larger than 32 MiB", "fewer series", false},
		"half an answer": {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "100"); fmt.Fprint(w, "{") }, "unexpected EOF", "reachable", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }))
			defer s.Close()
			_, err := sourceFor(t, Server{Address: s.URL}, Query{Name: "queue", Value: "queue_length"}).Measure(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.why) || !strings.Contains(deploy.HintOf(err), c.hint) || Temporary(err) != c.temporary {
				t.Fatalf("got %v (temporary %v), hint %q", err, Temporary(err), deploy.HintOf(err))
			}
			if !strings.Contains(err.Error(), "metric queue") || !strings.Contains(err.Error(), "queue_length") {
				t.Errorf("names neither metric nor query: %v", err)
			}
		})
	}
}

func fail(w http.ResponseWriter, code int, kind, why string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"status":"error","errorType":%q,"error":%q}`, kind, why)
}

func TestServersThatAreNotThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := sourceFor(t, Server{Address: s.URL}, Query{Name: "n", Value: "up"}).Measure(context.Background())
	if err == nil || !Temporary(err) || !strings.Contains(err.Error(), "refused") || deploy.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestServersThatAreSlow(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	_, err := sourceFor(t, Server{Address: s.URL, Timeout: 20 * time.Millisecond}, Query{Name: "n", Value: "up"}).Measure(context.Background())
	if err == nil || !Temporary(err) || !strings.Contains(err.Error(), "timed out after 20ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = sourceFor(t, Server{Address: s.URL}, Query{Name: "n", Value: "up"}).Measure(ctx)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
}

// A token must not go to where a server redirects to.
func TestCredentialsStayWithTheServer(t *testing.T) {
	var got string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	got = "nobody came"
	access := Access{Token: deploy.KnownSecret("T", "1", "s3cret")}
	_, err := sourceFor(t, Server{Address: s.URL, Access: access}, Query{Name: "n", Value: "up"}).Measure(context.Background())
	if err == nil || Temporary(err) || !strings.Contains(deploy.HintOf(err), "redirects to") || got != "nobody came" {
		t.Errorf("the other server got %q; %v", got, err)
	}
	h, err := NewHTTP(Endpoint{Address: s.URL, Access: access})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Measure(context.Background()); err != nil || got != "" {
		t.Errorf("the other server got %q; %v", got, err)
	}
}
