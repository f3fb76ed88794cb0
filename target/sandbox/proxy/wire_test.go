package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// echoUpgrade takes the connection over and says everything back.
func echoUpgrade(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(c, rw)
}

// upgrade opens an upgraded connection through the proxy.
func upgrade(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(limit))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get(RevisionHeader) != "r1" {
		t.Fatalf("got %s %v", res.Status, res.Header)
	}
	return c, br
}

func TestUpgrade(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", echoUpgrade)}})
	c, br := upgrade(t, s.Listener.Addr().String())
	for i := range 3 {
		_, _ = fmt.Fprintf(c, "ping %d\n", i)
		if got, err := br.ReadString('\n'); err != nil || got != fmt.Sprintf("ping %d\n", i) {
			t.Fatalf("%q %v", got, err)
		}
	}
	if got := r.Traffic("r1"); got.Requests != 1 || got.Errors != 0 {
		t.Errorf("not counted while it lasts: %+v", got)
	}
	set(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.Idle(ctx, []string{"a"}); err == nil {
		t.Error("idle with an open connection")
	}
	_ = c.Close()
	if err := r.Idle(t.Context(), []string{"a"}); err != nil {
		t.Error(err)
	}
	if got := r.Traffic("r1"); got.Requests != 1 || got.Errors != 0 {
		t.Errorf("after the end: %+v", got)
	}
}

func TestCloseEndsUpgraded(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", echoUpgrade)}})
	_, br := upgrade(t, s.Listener.Addr().String())
	r.Close()
	if _, err := br.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestEventStream(t *testing.T) {
	for name, contentType := range map[string]string{"events": "text/event-stream; charset=utf-8", "chunks": "application/x-ndjson"} {
		t.Run(name, func(t *testing.T) {
			r, s := front(t)
			more := make(chan string)
			set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				for line := range more {
					_, _ = fmt.Fprintln(w, line)
					_ = http.NewResponseController(w).Flush()
				}
			})}})
			go func() { more <- "first" }()
			res, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			lines := bufio.NewScanner(res.Body)
			for _, want := range []string{"first", "second", "third"} { // each arrives before the next is sent
				if !lines.Scan() || lines.Text() != want {
					t.Fatalf("got %q %v", lines.Text(), lines.Err())
				}
				if want != "third" {
					more <- map[string]string{"first": "second", "second": "third"}[want]
				}
			}
			if counted := r.Traffic("r1").Requests == 1; counted != (name == "events") {
				t.Errorf("counted while it lasts: %v", counted)
			}
			close(more)
			if lines.Scan() {
				t.Errorf("got %q after the end", lines.Text())
			}
			eventually(t, "the count", func() bool { return r.Traffic("r1").Requests == 1 })
		})
	}
}

func TestLargeBodiesAndTrailers(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Trailer", "Sum")
		sum := sha256.New()
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, io.TeeReader(req.Body, sum))
		w.Header().Set("Sum", fmt.Sprintf("%x %s", sum.Sum(nil), req.Trailer.Get("Asked")))
	})}})
	body := make([]byte, 2<<20)
	chacha := rand.NewChaCha8([32]byte{})
	_, _ = chacha.Read(body)
	for name, length := range map[string]int64{"known length": int64(len(body)), "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPut, s.URL, io.NopCloser(bytes.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			asked := ""
			if length < 0 {
				asked = "yes"
				req.Trailer = http.Header{"Asked": {asked}}
			}
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, res)
			if got.text != string(body) {
				t.Errorf("got %d bytes back, not what was sent", len(got.text))
			}
			if want := fmt.Sprintf("%x %s", sha256.Sum256(body), asked); got.Trailer.Get("Sum") != strings.TrimSpace(want) {
				t.Errorf("trailer %q, want %q", got.Trailer.Get("Sum"), want)
			}
		})
	}
}

func TestExpectContinue(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Expect") != "100-continue" {
			t.Error("Expect did not reach the app")
		}
		if req.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		_, _ = io.Copy(w, req.Body)
	})}})
	ask := func(path string) string {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(limit))
		_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", path)
		br := bufio.NewReader(c)
		first, err := br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(first, " 100 ") {
			return first
		}
		_, _ = io.WriteString(c, "hello")
		rest, err := io.ReadAll(br)
		if err != nil {
			t.Fatal(err)
		}
		return first + string(rest)
	}
	if got := ask("/yes"); !strings.HasPrefix(got, "HTTP/1.1 100 Continue") || !strings.Contains(got, "200 OK") || !strings.HasSuffix(got, "hello") {
		t.Errorf("got %q", got)
	}
	if got := ask("/no"); !strings.HasPrefix(got, "HTTP/1.1 417 ") {
		t.Errorf("got %q", got)
	}
}

// Informational answers pass, and cost the final one none of its headers.
func TestEarlyHints(t *testing.T) {
	r, s := front(t)
	a := replica(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "page")
	})
	set(t, r, Arm{"r1", 50, []Backend{a}}, Arm{"r0", 50, []Backend{{"b", a.Addr}}})
	var hints []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			hints = append(hints, code)
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, res)
	if len(hints) != 1 || hints[0] != http.StatusEarlyHints {
		t.Errorf("hints %v", hints)
	}
	if got.text != "page" || got.Header.Get(RevisionHeader) == "" || got.Header.Get("Set-Cookie") == "" {
		t.Errorf("%q %v", got.text, got.Header)
	}
}

func TestRequestArrivesAsSent(t *testing.T) {
	r, s := front(t)
	seen := make(chan *http.Request, 1)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		seen <- req
		w.Header().Set(RevisionHeader, "forged")
		w.Header().Add("Set-Cookie", "own=1")
	})}})
	req, err := http.NewRequest(http.MethodGet, s.URL+"/a%2Fb//c/../d?q=1;2&z=%zz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.example"
	req.Header.Set("X-Forwarded-For", "1.2.3.4")
	req.Header.Set("X-Custom", "kept")
	req.Header.Set("Connection", "X-Hop")
	req.Header.Set("X-Hop", "dropped")
	req.Header.Set("User-Agent", "") // none is sent
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	reply := read(t, res)
	got := <-seen
	if got.RequestURI != "/a%2Fb//c/../d?q=1;2&z=%zz" {
		t.Errorf("URI %s", got.RequestURI)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "http",
		"X-Custom": "kept", "X-Hop": "", "User-Agent": "", "Accept-Encoding": "gzip",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.Host != "shop.example" {
		t.Errorf("host %s", got.Host)
	}
	if v := reply.Header.Values(RevisionHeader); len(v) != 1 || v[0] != "r1" {
		t.Errorf("revision %v", v)
	}
	if v := reply.Header.Values("Set-Cookie"); len(v) != 1 || v[0] != "own=1" {
		t.Errorf("cookies %v", v)
	}
}

// An app may refuse a body without reading it: the client gets to know, and
// the connection to the next one is none the worse.
func TestBodyIsRefusedUnread(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})}})
	for range 10 {
		res, err := s.Client().Post(s.URL, "application/octet-stream", bytes.NewReader(make([]byte, 2<<20)))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, res); got.StatusCode != http.StatusRequestEntityTooLarge || got.text != "too large\n" {
			t.Errorf("%d %q", got.StatusCode, got.text)
		}
	}
	eventually(t, "the counts", func() bool { return r.Traffic("r1").Requests == 10 })
	if got := r.Traffic("r1"); got.Errors != 0 {
		t.Errorf("%+v", got)
	}
}

// Only an answer that comes before the end of a body costs its connection.
func TestConnectionIsKeptAfterBodies(t *testing.T) {
	r, s := front(t)
	set(t, r, Arm{"r1", 100, []Backend{replica(t, "a", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/read" {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		w.WriteHeader(http.StatusAccepted)
	})}})
	// What is refused unread is larger than both connections' buffers together: a smaller body may have been sent whole
	// before its answer came, and then nothing is left that would keep the connection from serving another request.
	long, short, refused := make([]byte, 2<<20), []byte("a=b"), make([]byte, 64<<20)
	for name, c := range map[string]struct {
		path   string
		body   io.Reader
		closed bool
	}{
		"read to its end":            {"/read", bytes.NewReader(long), false},
		"of unknown length":          {"/read", io.MultiReader(bytes.NewReader(long)), false},
		"short and ignored":          {"/", bytes.NewReader(short), false},
		"none":                       {"/", nil, false},
		"long and refused unread":    {"/", bytes.NewReader(refused), true},
		"endless and refused unread": {"/", endlessly{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := s.Client().Post(s.URL+c.path, "application/octet-stream", c.body)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusAccepted || res.Close != c.closed {
				t.Errorf("%s, closed: %t", res.Status, res.Close)
			}
		})
	}
}

// endlessly is a body without end.
type endlessly struct{}

func (endlessly) Read(p []byte) (int, error) { return len(p), nil }
