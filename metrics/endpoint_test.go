package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// line is one line of a trace; errors are the new version's.
func line(t float64, requests, failed int) string {
	return fmt.Sprintf(`{"t":%g,"share":0.05,"baseline":{"requests":%d,"errors":0,"latency":{"le":[0.1,1],"counts":[%d,0,0]}},"canary":{"requests":%d,"errors":%d}}`+"\n",
		t, 10*requests, 10*requests, requests, failed)
}

func TestEndpoint(t *testing.T) {
	type step struct {
		answer string
		// want are requests of live, requests and errors of the new version.
		want  []uint64
		wrong string
	}
	for name, steps := range map[string][]step{
		"one line at a time": {
			{answer: line(0, 1, 0)},
			{answer: line(5, 3, 1), want: []uint64{30, 3, 1}},
			{answer: line(5, 3, 1)},
			{answer: line(7, 4, 0), want: []uint64{40, 4, 0}},
		},
		"all lines each time": {
			{answer: line(0, 1, 0) + line(5, 9, 9)},
			{answer: line(0, 1, 0) + line(5, 9, 9) + line(6, 1, 0) + "\n" + line(7, 2, 1), want: []uint64{30, 3, 1}},
			{answer: line(5, 9, 9) + line(6, 1, 0) + line(7, 2, 1)},
		},
		"nothing at first": {
			{answer: ""},
			{answer: line(0.5, 2, 0), want: []uint64{20, 2, 0}},
			{answer: ""},
			{answer: line(0.5, 2, 0)},
		},
		"history is no measurement": {
			{answer: line(3, 1, 0)},
			{answer: `{"t":-5,"history":true,"baseline":{"requests":7,"errors":0}}` + "\n"},
			{answer: `{"t":-5,"history":true,"baseline":{"requests":7,"errors":0}}` + "\n" + line(4, 1, 0), want: []uint64{10, 1, 0}},
		},
		"it begins anew": {
			{answer: line(30, 1, 0)},
			{answer: line(2, 1, 0), wrong: "t went back from 30s to 2s"},
			{answer: line(2, 1, 0) + line(3, 5, 0), want: []uint64{50, 5, 0}},
		},
		"a line is wrong": {
			{answer: line(1, 1, 0)},
			{answer: line(2, 1, 0) + `{"t":3,"baseline":{"requests":1,"errors":0}}`, wrong: "line 2: has no canary"},
			{answer: line(2, 1, 0), want: []uint64{10, 1, 0}},
		},
		"it is no trace": {
			{answer: "<html>", wrong: "line 1: is not a JSON object of the trace format"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := ""
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
			defer s.Close()
			h, err := NewHTTP(Endpoint{Name: "checkout", Address: s.URL + "/trace"})
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range steps {
				answer = c.answer
				r, err := h.Measure(context.Background())
				if (c.wrong != "") != (err != nil) || err != nil && (!strings.Contains(err.Error(), c.wrong) || deploy.HintOf(err) == "" || !strings.Contains(err.Error(), s.URL+"/trace")) {
					t.Fatalf("step %d: got %v", i+1, err)
				}
				var got []uint64
				for _, m := range r.Measures {
					got = append(got, m.Live.Requests, m.Candidate.Requests, m.Candidate.Errors)
					if m.Name != "checkout" || m.Live.Latency.Counts[0] != m.Live.Requests {
						t.Errorf("step %d: got %+v", i+1, m)
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i+1, diff)
				}
			}
		})
	}
}

func TestEndpointsThatDoNotAnswer(t *testing.T) {
	answer := func(w http.ResponseWriter) {}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	defer s.Close()
	h, err := NewHTTP(Endpoint{Address: s.URL, Access: Access{Token: deploy.KnownSecret("T", "1", "s3cret")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		answer    func(w http.ResponseWriter)
		why       string
		temporary bool
	}{
		"503":         {func(w http.ResponseWriter) { http.Error(w, "starting, s3cret", http.StatusServiceUnavailable) }, "answered 503 Service Unavailable: starting, ***", true},
		"401":         {func(w http.ResponseWriter) { w.WriteHeader(401) }, "answered 401 Unauthorized", false},
		"no end":      {endless, "larger than 32 MiB", false},
		"cut off":     {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1000"); fmt.Fprint(w, line(1, 1, 0)) }, "unexpected EOF", true},
		"longer line": {func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 2<<20)) }, "line 1: is longer than", false},
	} {
		answer = c.answer
		_, err := h.Measure(context.Background())
		var failed *FetchError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.why) || Temporary(err) != c.temporary || deploy.HintOf(err) == "" {
			t.Errorf("%s: got %v (temporary %v)", name, err, Temporary(err))
		}
	}
	if _, err := NewHTTP(Endpoint{Address: "localhost/x"}); !deploy.IsUsage(err) {
		t.Errorf("got %v", err)
	}
}

func endless(w http.ResponseWriter) {
	padding := strings.Repeat(" ", 900_000)
	for i := range 1_000 {
		if _, err := io.WriteString(w, padding+line(float64(i), 1, 0)); err != nil {
			return
		}
	}
}

// said is a source that says the same again.
type said struct {
	reading Reading
	err     error
}

func (s said) Measure(context.Context) (Reading, error) { return s.reading, s.err }

func TestSourcesAreJoined(t *testing.T) {
	broken := errors.New("broken")
	all := Sources{
		said{reading: Reading{Measures: []analysis.Measure{{Live: deploy.Traffic{Requests: 5, Errors: 1}, Candidate: deploy.Traffic{Requests: 2}}}}},
		said{err: broken},
		said{reading: Reading{Measures: []analysis.Measure{{Name: "checkout", Candidate: deploy.Traffic{Requests: 9}}}, Gauges: []analysis.Gauge{{Name: "cpu", Candidate: 1}}, Missing: []error{broken}}},
	}
	r, err := all.Measure(context.Background())
	if !errors.Is(err, broken) || len(r.Missing) != 1 {
		t.Errorf("got %v, missing %v", err, r.Missing)
	}
	s := analysis.Sample{Live: deploy.Traffic{Requests: 1}}
	r.AddTo(&s)
	if s.Live.Requests != 6 || s.Live.Errors != 1 || s.Candidate.Requests != 2 || len(s.Others) != 1 || s.Others[0].Candidate.Requests != 9 || len(s.Gauges) != 1 {
		t.Errorf("got %+v", s)
	}
}
