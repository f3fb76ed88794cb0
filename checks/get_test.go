package checks_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/checks"
	"github.com/slipway-ci/slipway/deploy"
)

// app answers like a version that is good in parts.
func app(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-Two", "a")
		w.Header().Add("X-Two", "b")
		fmt.Fprintf(w, "hello %s by %s", r.URL.RawQuery, r.UserAgent())
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "no \x1b[31mdatabase\nat hunter2")
	})
	mux.HandleFunc("GET /away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/broken", http.StatusFound)
	})
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	mux.HandleFunc("GET /slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("GET /drip", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /huge", func(w http.ResponseWriter, r *http.Request) {
		chunk := strings.Repeat("é", 1<<15)
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, chunk); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /torn", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// nested goes through a list of a hundred.
var nested = "[" + strings.Repeat("1,", 99) + "1].all(x, X)"

// deep is an expression of a hundred to the power of n steps.
func deep(n int) string {
	if n == 0 {
		return "true"
	}
	return strings.Replace(nested, "X", deep(n-1), 1)
}

func TestGet(t *testing.T) {
	server := app(t)
	for name, tc := range map[string]struct {
		check deploy.Check
		want  []string // parts of the detail; none means passed
	}{
		"default":        {check: deploy.Check{Get: "/?q=1"}},
		"body":           {check: deploy.Check{Get: "/?q=1", Expect: `body == "hello q=1 by slipway-check"`}},
		"headers":        {check: deploy.Check{Get: "/", Expect: `headers["x-two"] == "a, b"`}},
		"duration":       {check: deploy.Check{Get: "/", Expect: `duration > duration("0s") && duration < duration("10s")`}},
		"not followed":   {check: deploy.Check{Get: "/away", Expect: `status == 302 && headers["location"] == "/broken"`}},
		"redirect is ok": {check: deploy.Check{Get: "/away"}},
		"only 1 MiB":     {check: deploy.Check{Get: "/huge", Expect: `body.size() > 500000 && body.size() <= 524289`}},
		"wrong status": {
			check: deploy.Check{Get: "/broken"},
			want:  []string{"GET /broken: expected status >= 200 && status < 400, got status 503 after ", `with body "no \x1b[31mdatabase\nat ***"`},
		},
		"wrong body": {
			check: deploy.Check{Get: "/", Expect: `body.contains("bye")`},
			want:  []string{`GET /: expected body.contains("bye"), got status 200 after `, `"hello  by slipway-check"`},
		},
		"empty body":     {check: deploy.Check{Get: "/empty"}, want: []string{"status 404", "with an empty body"}},
		"long body":      {check: deploy.Check{Get: "/huge", Expect: "false"}, want: []string{strings.Repeat("é", 100) + `"…`}},
		"missing header": {check: deploy.Check{Get: "/", Expect: `headers["x-nope"] == ""`}, want: []string{"no such key: x-nope", "status 200"}},
		"torn":           {check: deploy.Check{Get: "/torn"}, want: []string{"GET /torn: read the body of the 200 answer: unexpected EOF"}},
		"slow":           {check: deploy.Check{Get: "/slow", Timeout: 30 * time.Millisecond}, want: []string{"timed out after 30ms waiting for GET /slow"}},
		"drip":           {check: deploy.Check{Get: "/drip", Timeout: 30 * time.Millisecond}, want: []string{"timed out after 30ms waiting for GET /drip"}},
		"bad expression": {check: deploy.Check{Get: "/", Expect: "nope"}, want: []string{"GET /: not a valid expression: column 1: undeclared reference to 'nope'"}},
		"costly": {
			check: deploy.Check{Get: "/", Expect: deep(4), Timeout: 3 * time.Second},
			want:  []string{"evaluat"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check.Attempts = 1
			r := &checks.Runner{Scrub: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }}
			got := r.Run(t.Context(), checks.Subject{URL: server.URL + "/"}, []deploy.Check{tc.check}, nil)[0]
			if got.Passed != (len(tc.want) == 0) || got.Passed != (got.Detail == "") {
				t.Fatalf("passed: %v, detail: %s", got.Passed, got.Detail)
			}
			for _, part := range tc.want {
				if !strings.Contains(got.Detail, part) {
					t.Errorf("detail %s\nhas no %s", got.Detail, part)
				}
			}
			if len(got.Detail) > 1000+len(tc.check.Expect) {
				t.Errorf("detail of %d bytes", len(got.Detail))
			}
		})
	}
}

func TestGetNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	list := []deploy.Check{{Name: "home", Get: "/", Attempts: 1}}
	got := new(checks.Runner).Run(t.Context(), checks.Subject{URL: "http://" + address}, list, nil)[0]
	if got.Passed || !strings.Contains(got.Detail, "GET /: dial tcp "+address) || !strings.Contains(got.Detail, "refused") {
		t.Errorf("%+v", got)
	}
}

// A secret that lies across the place at which the body is cut must not be
// told in part.
func TestGetScrubsBeforeItCuts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 195)+"hunter2")
	}))
	defer server.Close()
	r := &checks.Runner{Scrub: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }}
	got := r.Run(t.Context(), checks.Subject{URL: server.URL}, []deploy.Check{{Get: "/", Expect: "false", Attempts: 1}}, nil)[0]
	if strings.Contains(got.Detail, "hunt") || !strings.Contains(got.Detail, "x***") {
		t.Errorf("detail: %s", got.Detail)
	}
}

func TestAttempts(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	var told []deploy.CheckResult
	list := []deploy.Check{
		{Name: "late", Get: "/", Attempts: 3},
		{Name: "never", Get: "/", Expect: "false", Attempts: 2},
		{Name: "fine", Get: "/"},
	}
	results := new(checks.Runner).Run(t.Context(), checks.Subject{URL: server.URL}, list,
		func(r deploy.CheckResult) { told = append(told, r) })
	if len(results) != 3 || len(told) != 3 {
		t.Fatalf("%d results, %d told", len(results), len(told))
	}
	for i, want := range []deploy.CheckResult{
		{Name: "late", Passed: true, Attempts: 3},
		{Name: "never", Passed: false, Attempts: 2},
		{Name: "fine", Passed: true, Attempts: 1},
	} {
		got := results[i]
		if got.Name != want.Name || got.Passed != want.Passed || got.Attempts != want.Attempts {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got != told[i] {
			t.Errorf("told %+v, returned %+v", told[i], got)
		}
	}
	if results[0].Took < 600*time.Millisecond {
		t.Errorf("three attempts took %s: no pauses", results[0].Took)
	}
}

func TestInterrupted(t *testing.T) {
	began := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-began
		cancel()
	}()
	list := []deploy.Check{
		{Name: "hangs", Get: "/", Timeout: time.Minute, Attempts: 3},
		{Name: "after", Get: "/", Attempts: 3},
	}
	results := new(checks.Runner).Run(ctx, checks.Subject{URL: server.URL}, list, nil)
	if len(results) != 2 {
		t.Fatalf("%d results", len(results))
	}
	if r := results[0]; r.Passed || r.Attempts != 1 || !strings.HasPrefix(r.Detail, "interrupted after ") {
		t.Errorf("%+v", r)
	}
	if r := results[1]; r.Passed || r.Attempts != 0 || r.Detail != "interrupted before it was asked" {
		t.Errorf("%+v", r)
	}
}

// BenchmarkGet is what a check costs besides the app's own time.
func BenchmarkGet(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	r, list := new(checks.Runner), []deploy.Check{{Get: "/", Attempts: 1}}
	for b.Loop() {
		if got := r.Run(b.Context(), checks.Subject{URL: server.URL}, list, nil); !got[0].Passed {
			b.Fatal(got[0].Detail)
		}
	}
}
