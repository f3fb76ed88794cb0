package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// limit bounds every wait of these tests.
const limit = 10 * time.Second

// front serves a new router for the length of a test.
func front(t testing.TB) (*Router, *httptest.Server) {
	t.Helper()
	r := New(Options{App: "hello", Environment: "production"})
	s := httptest.NewServer(r)
	t.Cleanup(func() {
		r.Close()
		s.Close()
	})
	return r, s
}

// replica serves a handler as a backend for the length of a test.
func replica(t testing.TB, id string, h http.HandlerFunc) Backend {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return Backend{ID: id, Addr: s.Listener.Addr().String()}
}

// says answers every request with a text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// nobody is an address at which nobody listens.
func nobody(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func set(t testing.TB, r *Router, arms ...Arm) {
	t.Helper()
	if err := r.Set(Table{arms}); err != nil {
		t.Fatal(err)
	}
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	text string
}

func get(t testing.TB, c *http.Client, url string) reply {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

func read(t testing.TB, res *http.Response) reply {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return reply{res, string(body)}
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out after %s waiting for %s", limit, what)
		}
	}
}

func TestEmptyTable(t *testing.T) {
	r, s := front(t)
	check := func(t *testing.T) {
		t.Helper()
		got := get(t, s.Client(), s.URL)
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" {
			t.Errorf("got %d, Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
		}
		if got.text != "hello/production: no version takes traffic yet\n" {
			t.Errorf("got %q", got.text)
		}
	}
	t.Run("new", check)
	set(t, r, Arm{"r1", 0, []Backend{replica(t, "a", says("hi"))}})
	t.Run("nobody let in", check)
	if n := r.Traffic("r1").Requests; n != 0 {
		t.Errorf("%d requests counted", n)
	}
}

func TestDistribution(t *testing.T) {
	r, s := front(t)
	a, b := replica(t, "a", says("new")), replica(t, "b", says("old"))
	for _, share := range []deploy.Percent{1, 10, 50} {
		set(t, r, Arm{"new", share, []Backend{a}}, Arm{"old", 100 - share, []Backend{b}})
		before := r.Traffic("new").Requests
		const n = 1000
		for range n {
			get(t, s.Client(), s.URL)
		}
		got := float64(r.Traffic("new").Requests - before)
		p := share.Fraction()
		if sigma := math.Sqrt(n * p * (1 - p)); math.Abs(got-n*p) > 5*sigma {
			t.Errorf("share %s: %g of %d requests", share, got, n)
		}
	}
}

func TestUsersStay(t *testing.T) {
	r, s := front(t)
	a, b := []Backend{replica(t, "a", says("new"))}, []Backend{replica(t, "b", says("old"))}
	users := make([]*http.Client, 30)
	for i := range users {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		users[i] = &http.Client{Transport: s.Client().Transport, Jar: jar}
	}
	sides := func() []string {
		var out []string
		for _, u := range users {
			got := get(t, u, s.URL).text
			if again := get(t, u, s.URL).text; again != got {
				t.Fatalf("a user saw %s, then %s", got, again)
			}
			out = append(out, got)
		}
		return out
	}
	set(t, r, Arm{"new", 10, a}, Arm{"old", 90, b})
	before := sides()
	for _, share := range []deploy.Percent{25, 50, 75, 100} {
		set(t, r, Arm{"new", share, a}, Arm{"old", 100 - share, b})
		after := sides()
		for i := range users {
			if before[i] == "new" && after[i] != "new" {
				t.Fatalf("user %d went back at %s", i, share)
			}
		}
		before = after
	}
	for i, side := range before {
		if side != "new" {
			t.Errorf("user %d is on %s at 100%%", i, side)
		}
	}
	set(t, r, Arm{"new", 0, a}, Arm{"old", 100, b})
	for i, side := range sides() {
		if side != "old" {
			t.Errorf("user %d is on %s after the way back", i, side)
		}
	}
}

func TestCookie(t *testing.T) {
	r, s := front(t)
	a, b := []Backend{replica(t, "a", says("new"))}, []Backend{replica(t, "b", says("old"))}
	ask := func(cookie string) reply {
		req, err := http.NewRequest(http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if cookie != "" {
			req.Header.Set("Cookie", cookie)
		}
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, res)
	}
	set(t, r, Arm{"old", 100, b})
	if got := ask("").Header.Get("Set-Cookie"); got != "" {
		t.Errorf("cookie without a split: %q", got)
	}
	set(t, r, Arm{"new", 50, a}, Arm{"old", 50, b})
	cookies := ask("").Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies: %v", cookies)
	}
	c := cookies[0]
	if c.Name != DefaultCookie || c.Path != "/" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.MaxAge != 0 {
		t.Errorf("cookie: %s", c)
	}
	for cookie, want := range map[string]string{
		"slipway-side=0": "new", "slipway-side=4999": "new", "slipway-side=5000": "old", "slipway-side=9999": "old",
		"other=1; slipway-side=9999": "old", "slipway-side=x; slipway-side=3": "new",
	} {
		if got := ask(cookie); got.text != want || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: on %s, Set-Cookie %q", cookie, got.text, got.Header.Get("Set-Cookie"))
		}
	}
	for _, bad := range []string{"-1", "10000", "1e3", "", "007", "+5", "99999999999999999999", "5 "} {
		if got := ask("slipway-side=" + bad + "x"); got.Header.Get("Set-Cookie") == "" {
			t.Errorf("%q was taken", bad+"x")
		}
		if got := positionOf(&http.Request{Header: http.Header{"Cookie": {"c=" + bad}}}, "c"); bad != "5 " && got != -1 {
			t.Errorf("%q is position %d", bad, got)
		}
	}
}

func TestLeastBusyReplica(t *testing.T) {
	r, s := front(t)
	hold, busy := make(chan struct{}), make(chan string, 8)
	slow := func(id string) Backend {
		return replica(t, id, func(w http.ResponseWriter, req *http.Request) {
			busy <- id
			<-hold
		})
	}
	set(t, r, Arm{"r1", 100, []Backend{slow("a"), slow("b"), slow("c")}})
	var wg sync.WaitGroup
	seen := map[string]int{}
	for range 6 {
		wg.Go(func() { get(t, s.Client(), s.URL) })
		seen[<-busy]++
	}
	close(hold)
	wg.Wait()
	for _, id := range []string{"a", "b", "c"} {
		if seen[id] != 2 {
			t.Errorf("%s got %d of 6 requests under way at once", id, seen[id])
		}
	}
}

func TestCounts(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/bad":
			w.WriteHeader(http.StatusInternalServerError)
		case "/none":
			w.WriteHeader(http.StatusNotFound)
		case "/slow":
			time.Sleep(30 * time.Millisecond)
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/drop":
			panic(http.ErrAbortHandler)
		}
	})}})
	for _, path := range []string{"/", "/bad", "/none", "/slow", "/bad", "/drop"} {
		get(t, s.Client(), s.URL+path)
	}
	if res, err := s.Client().Post(s.URL+"/cut", "", nil); err == nil { // a GET would be sent again
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("the user was told that the answer is complete")
		}
		_ = res.Body.Close()
	}
	eventually(t, "all counts", func() bool { return r.Traffic("r1").Requests == 7 })
	got := r.Traffic("r1")
	if got.Errors != 4 || got.Lost != 2 {
		t.Errorf("%d errors, %d lost; want 4 and 2", got.Errors, got.Lost)
	}
	var sum, slow uint64
	for i, n := range got.Latency.Counts {
		sum += n
		if i > 0 && got.Latency.Le[i-1] >= 0.025 {
			slow += n
		}
	}
	if sum != got.Requests || slow < 1 || len(got.Latency.Counts) != len(got.Latency.Le)+1 {
		t.Errorf("latency: %+v", got.Latency)
	}
	t.Run("kept when the revision leaves", func(t *testing.T) {
		set(t, r)
		if n := r.Traffic("r1").Requests; n != 7 {
			t.Errorf("%d requests", n)
		}
		r.Forget("r1")
		if n := r.Traffic("r1").Requests; n != 0 {
			t.Errorf("%d requests after Forget", n)
		}
	})
}

func TestBuckets(t *testing.T) {
	for took, want := range map[time.Duration]int{
		0: 0, time.Millisecond: 0, time.Millisecond + 1: 1, 10 * time.Second: 12, 11 * time.Second: 13,
	} {
		if got := bucket(took); got != want {
			t.Errorf("bucket(%s) = %d, want %d", took, got, want)
		}
	}
	le := (*traffic)(nil).snapshot().Latency.Le
	if fmt.Sprint(le) != "[0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10]" {
		t.Errorf("bounds: %v", le)
	}
}

func TestClientGoesAway(t *testing.T) {
	r, s := front(t)
	began := make(chan struct{}, 2)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/body" {
			_, _ = io.WriteString(w, "some")
			_ = http.NewResponseController(w).Flush()
		}
		began <- struct{}{}
		<-req.Context().Done()
	})}})
	for _, path := range []string{"/headers", "/body"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-began
			cancel()
		}()
		if res, err := s.Client().Do(req); err == nil {
			_, _ = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		cancel()
	}
	eventually(t, "both requests to end", func() bool { return r.Traffic("r1").Requests == 2 })
	if got := r.Traffic("r1"); got.Errors != 0 || got.Lost != 0 {
		t.Errorf("%d errors, %d lost", got.Errors, got.Lost)
	}
}

func TestClientSendsNonsense(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
	})}})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nnonsense\r\n")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("%v %q", err, answer)
	}
	eventually(t, "the request to end", func() bool { return r.Traffic("r1").Requests == 1 })
	if got := r.Traffic("r1"); got.Errors != 0 {
		t.Errorf("%d errors", got.Errors)
	}
}

func TestDeadReplica(t *testing.T) {
	r, s := front(t)
	dead := Backend{ID: "dead", Addr: nobody(t)}
	live := replica(t, "live", func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) })
	set(t, r, Arm{"r1", 100, []Backend{dead, live}})
	for i := range 20 {
		res, err := s.Client().Post(s.URL, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, res); got.StatusCode != http.StatusOK || got.text != "hello" {
			t.Fatalf("request %d: %d %q", i, got.StatusCode, got.text)
		}
		r.known[0].downUntil.Store(0) // tempt it again
	}
	if got := r.Traffic("r1"); got.Requests != 20 || got.Errors != 0 {
		t.Errorf("%+v", got)
	}
	t.Run("left out for a while", func(t *testing.T) {
		get(t, s.Client(), s.URL)
		r.known[0].markDown(time.Now())
		for range 50 {
			if b := pick(r.known, nil); b.ID != "live" {
				t.Fatal("picked the one that is down")
			}
		}
		if b := pick(r.known, r.known[1:]); b == nil || b.ID != "dead" {
			t.Error("the one that is down is the last resort")
		}
	})
	t.Run("it comes back", func(t *testing.T) {
		r.known[0].markUp()
		if r.known[0].down() {
			t.Error("still down")
		}
	})
}

// The other arm is well, but hiding that this one is down would blind the judge.
func TestDeadArm(t *testing.T) {
	for name, test := range map[string]struct {
		backends []Backend
		status   int
		text     string
	}{
		"dead replicas": {[]Backend{{"d1", nobody(t)}, {"d2", nobody(t)}}, http.StatusBadGateway, "no replica of revision new can be reached"},
		"no replicas":   {nil, http.StatusServiceUnavailable, "revision new has no replica that takes traffic"},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := front(t)
			set(t, r, Arm{"new", 50, test.backends}, Arm{"old", 50, []Backend{replica(t, "b", says("old"))}})
			req, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", "slipway-side=1")
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, res)
			if got.StatusCode != test.status || !strings.Contains(got.text, test.text) {
				t.Errorf("%d %q", got.StatusCode, got.text)
			}
			if got.Header.Get(RevisionHeader) != "new" {
				t.Errorf("revision %q", got.Header.Get(RevisionHeader))
			}
			eventually(t, "the count", func() bool { return r.Traffic("new").Requests == 1 })
			if c := r.Traffic("new"); c.Errors != 1 || c.Lost != 1 {
				t.Errorf("%+v", c)
			}
			if c := r.Traffic("old"); c.Requests != 0 {
				t.Errorf("old was asked: %+v", c)
			}
		})
	}
}

func TestNoHeadersInTime(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })}})
	r.known[0].transport.ResponseHeaderTimeout = 10 * time.Millisecond
	if got := get(t, s.Client(), s.URL); got.StatusCode != http.StatusGatewayTimeout || !strings.Contains(got.text, "revision r1 did not answer") {
		t.Errorf("%d %q", got.StatusCode, got.text)
	}
	eventually(t, "the count", func() bool { return r.Traffic("r1").Lost == 1 })
}

// A server may close a connection that was idle just when the next request is
// on it. net/http sends a request without a body again.
func TestStaleConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served, stale atomic.Int32
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				for n := 0; ; n++ {
					if _, err := c.Read(make([]byte, 4096)); err != nil {
						return
					}
					if n == 1 { // the second request on one connection
						stale.Add(1)
						return
					}
					served.Add(1)
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
		}
	})
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{{"a", l.Addr().String()}}})
	for i := range 10 {
		if got := get(t, s.Client(), s.URL); got.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %d %s", i, got.StatusCode, got.text)
		}
	}
	if served.Load() != 10 || stale.Load() == 0 {
		t.Errorf("%d served, %d met a closing connection", served.Load(), stale.Load())
	}
	if got := r.Traffic("r1"); got.Requests != 10 || got.Errors != 0 {
		t.Errorf("%+v", got)
	}
}

func TestRoute(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"new", 0, []Backend{replica(t, "a", says("new"))}}, Arm{"old", 100, []Backend{replica(t, "b", says("old"))}})
	side := httptest.NewServer(r.Route("new"))
	defer side.Close()
	for range 5 {
		if got := get(t, side.Client(), side.URL); got.text != "new" || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("got %q", got.text)
		}
		if got := get(t, s.Client(), s.URL); got.text != "old" || got.Header.Get(RevisionHeader) != "old" {
			t.Errorf("got %q", got.text)
		}
	}
	set(t, r, Arm{"old", 100, nil})
	if got := get(t, side.Client(), side.URL); got.StatusCode != 503 || got.text != "hello/production: revision new has no replica that takes traffic\n" {
		t.Errorf("%d %q", got.StatusCode, got.text)
	}
	if n := r.Traffic("new").Requests; n != 0 {
		t.Errorf("%d requests counted", n)
	}
}

func TestIdle(t *testing.T) {
	r, s := front(t)
	hold, began := make(chan struct{}), make(chan struct{})
	a := replica(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		began <- struct{}{}
		<-hold
		_, _ = io.WriteString(w, "finished")
	})
	b := replica(t, "b", says("b"))
	set(t, r, Arm{"r1", 100, []Backend{a}})
	done := make(chan string)
	go func() { done <- get(t, s.Client(), s.URL).text }()
	<-began
	set(t, r, Arm{"r1", 100, []Backend{b}})

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := r.Idle(ctx, []string{"a", "b", "unknown"})
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting for 1 request under way") {
		t.Errorf("got %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := r.Idle(stopped, []string{"a"}); err == nil || !strings.HasPrefix(err.Error(), "interrupted after") {
		t.Errorf("got %v", err)
	}
	if got := get(t, s.Client(), s.URL).text; got != "b" {
		t.Errorf("new requests go to %s", got)
	}

	waits := make(chan error, 3)
	for range cap(waits) { // all of several waiters are told
		go func() { waits <- r.Idle(t.Context(), []string{"a"}) }()
	}
	close(hold)
	if got := <-done; got != "finished" {
		t.Errorf("the request under way got %q", got)
	}
	for range cap(waits) {
		select {
		case err := <-waits:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(limit):
			t.Fatal("Idle did not return")
		}
	}
}

// A replica that was started again at another port is watched at both.
func TestIdleKnowsTheOldAddress(t *testing.T) {
	r, s := front(t)
	hold, began := make(chan struct{}), make(chan struct{})
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(http.ResponseWriter, *http.Request) {
		close(began)
		<-hold
	})}})
	done := make(chan reply)
	go func() { done <- get(t, s.Client(), s.URL) }()
	<-began
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", says("again"))}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.Idle(ctx, []string{"a"}); err == nil {
		t.Error("idle while a request is under way at the old address")
	}
	close(hold)
	<-done
	if err := r.Idle(t.Context(), []string{"a"}); err != nil {
		t.Error(err)
	}
	if n := len(r.known); n != 1 {
		t.Errorf("%d backends are known", n)
	}
}

// Replicas come and go as in a rolling update, one drained and stopped after
// the other, while users send all they can. Not one request may fail.
func TestSwapUnderLoadLosesNothing(t *testing.T) {
	r, s := front(t)
	start := func(id string) (Backend, *httptest.Server) {
		b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(w, req.Body)
		}))
		return Backend{ID: id, Addr: b.Listener.Addr().String()}, b
	}
	old, server := start("0")
	set(t, r, Arm{"r0", 100, []Backend{old}})

	ctx, stop := context.WithCancel(t.Context())
	var sent, wrong atomic.Int64
	var users sync.WaitGroup
	for u := range 6 {
		users.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf("%d/%d", u, i)
				res, err := s.Client().Post(s.URL, "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				if got := read(t, res); got.StatusCode != 200 || got.text != body {
					wrong.Add(1)
					t.Errorf("%d %q", got.StatusCode, got.text)
				}
				sent.Add(1)
			}
		})
	}
	for i := 1; i <= 20; i++ {
		was := sent.Load()
		eventually(t, "traffic", func() bool { return sent.Load() > was+10 || wrong.Load() > 0 })
		next, nextServer := start(fmt.Sprint(i))
		revision, before := fmt.Sprintf("r%d", i), fmt.Sprintf("r%d", i-1)
		set(t, r, Arm{revision, 50, []Backend{next}}, Arm{before, 50, []Backend{old}})
		set(t, r, Arm{revision, 100, []Backend{next}})
		if err := r.Idle(t.Context(), []string{old.ID}); err != nil {
			t.Fatal(err)
		}
		server.CloseClientConnections()
		server.Close()
		old, server = next, nextServer
	}
	stop()
	users.Wait()
	server.Close()
	var counted, failed uint64
	for i := range 21 {
		c := r.Traffic(fmt.Sprintf("r%d", i))
		counted += c.Requests
		failed += c.Errors
	}
	if counted != uint64(sent.Load()) || failed != 0 {
		t.Errorf("%d sent, %d counted, %d failed", sent.Load(), counted, failed)
	}
	t.Logf("%d requests over 20 replacements", sent.Load())
}

func TestClose(t *testing.T) {
	r, s := front(t)
	began := make(chan struct{})
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		close(began)
		<-req.Context().Done()
	})}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if res, err := s.Client().Get(s.URL); err == nil {
			_, _ = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
	}()
	<-began
	r.Close()
	r.Close()
	select {
	case <-ended:
	case <-time.After(limit):
		t.Fatal("the stream did not end")
	}
	if err := r.Set(Table{}); err == nil || !strings.Contains(err.Error(), "the proxy is closed") {
		t.Errorf("got %v", err)
	}
	if got := get(t, s.Client(), s.URL); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d", got.StatusCode)
	}
	if err := r.Idle(t.Context(), []string{"a"}); err != nil {
		t.Error(err)
	}
}
