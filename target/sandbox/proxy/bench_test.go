package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// BenchmarkRequest compares a request through the proxy with one straight to
// the app, over loopback on a connection that is kept. Besides the mean it
// reports p50 and p99 in microseconds; the overhead is the difference.
func BenchmarkRequest(b *testing.B) {
	app := says("hello")
	b.Run("direct", func(b *testing.B) {
		s := httptest.NewServer(app)
		defer s.Close()
		measure(b, s.URL)
	})
	b.Run("proxied", func(b *testing.B) {
		r, s := front(b)
		set(b, r, Arm{"live", 100, []Backend{replica(b, "a", app)}})
		measure(b, s.URL)
	})
	b.Run("split", func(b *testing.B) {
		r, s := front(b)
		set(b, r,
			Arm{"candidate", 10, []Backend{replica(b, "a", app), replica(b, "b", app)}},
			Arm{"live", 90, []Backend{replica(b, "c", app), replica(b, "d", app)}})
		measure(b, s.URL)
	})
}

// measure sends one request after the other.
func measure(b *testing.B, url string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		res, err := client.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Nanoseconds()) / 1000 }
	b.ReportMetric(at(0.50), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
}

// BenchmarkRouting is what the router itself adds: placing, picking, counting,
// without any network.
func BenchmarkRouting(b *testing.B) {
	r := New(Options{})
	defer r.Close()
	set(b, r,
		Arm{"candidate", 10, []Backend{{"a", "127.0.0.1:1"}, {"b", "127.0.0.1:2"}}},
		Arm{"live", 90, []Backend{{"c", "127.0.0.1:3"}, {"d", "127.0.0.1:4"}}})
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Cookie", "slipway-side=1234")
	b.ReportAllocs()
	for b.Loop() {
		f := r.flights.Get().(*flight)
		f.begin(req, "")
		if err := f.board(); err != nil {
			b.Fatal(err)
		}
		r.land(f)
	}
}
