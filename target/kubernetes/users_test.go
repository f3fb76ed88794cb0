package kubernetes

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestNamesBelowLocalhost asks hosts that no resolver knows, with a proxy that
// answers everything with an error.
func TestNamesBelowLocalhost(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	seen := ""
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Host
		w.WriteHeader(http.StatusNoContent)
	}))
	defer app.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(app.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "shop.localhost", "pr-7.Shop.LOCALHOST", "shop.localhost."} {
		answer, err := get(t.Context(), asBrowsers(), "http://"+net.JoinHostPort(host, port)+"/", "")
		if err != nil || answer.status != http.StatusNoContent || !strings.HasPrefix(seen, host) {
			t.Errorf("%s: %v, %+v, seen as %q", host, err, answer, seen)
		}
	}
	for _, host := range []string{"example.com", "notlocalhost", "localhost.example.com"} {
		if local(host) {
			t.Errorf("%s is taken for this machine", host)
		}
	}
}

// TestNamesBelowLocalhostBySix reaches what listens by the newer protocol alone.
func TestNamesBelowLocalhostBySix(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no ::1: %v", err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.NotFoundHandler()}}
	s.Start()
	defer s.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := get(t.Context(), asBrowsers(), "http://shop.localhost:"+port+"/", "")
	if err != nil || answer.status != http.StatusNotFound {
		t.Errorf("%v, %+v", err, answer)
	}
}
