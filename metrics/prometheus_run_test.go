package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"

	"github.com/slipway-ci/slipway/deploy"
)

// patience of every wait in these tests. What it waits for takes seconds; the
// machine may be busy.
const patienceOfTests = 2 * time.Minute

// running is a real Prometheus that scrapes once a second.
type running struct {
	address string
	targets string // folder
}

// startPrometheus runs the one on PATH, or skips the test.
func startPrometheus(t *testing.T) *running {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil && os.Getenv("SLIPWAY_REQUIRE_PROMETHEUS") != "" {
		t.Fatal("prometheus is not on PATH, and SLIPWAY_REQUIRE_PROMETHEUS is set")
	}
	if err != nil {
		t.Skip("prometheus is not on PATH: sources are not tested against a real one")
	}
	for range 3 { // another process may take the port meanwhile
		if r := tryPrometheus(t, binary); r != nil {
			return r
		}
	}
	t.Fatal("prometheus does not start")
	return nil
}

func tryPrometheus(t *testing.T, binary string) *running {
	dir := t.TempDir()
	r := &running{targets: filepath.Join(dir, "targets")}
	if err := os.Mkdir(r.targets, 0o755); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"+
		"scrape_configs: [{job_name: app, file_sd_configs: [{files: [%q], refresh_interval: 1s}]}]\n", filepath.Join(r.targets, "*.json"))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	r.address = freeAddress(t)
	var log bytes.Buffer
	cmd := exec.Command(binary, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", r.address, "--enable-feature", "native-histograms")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	cmd.Stdout, cmd.Stderr = &log, &log
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s", log.Bytes())
		}
	})
	for deadline := time.Now().Add(patienceOfTests); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			return nil
		default:
		}
		resp, err := http.Get("http://" + r.address + "/-/ready")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return r
		}
	}
	t.Fatal("prometheus is not ready")
	return nil
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (r *running) server() Server {
	return Server{Address: "http://" + r.address, Timeout: time.Minute}
}

// scrape makes the Prometheus scrape some apps, and no others of the same name.
func (r *running) scrape(t *testing.T, name string, apps ...*app) {
	t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for _, a := range apps {
		groups = append(groups, group{[]string{a.address}, map[string]string{"case": name, "version": a.version}})
	}
	text, err := json.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	// A file is replaced at once, so that no half of it is read.
	fresh := filepath.Join(r.targets, name+".new")
	if err := os.WriteFile(fresh, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(r.targets, name+".json")); err != nil {
		t.Fatal(err)
	}
}

// until waits for a query to give a number.
func (r *running) until(t *testing.T, query string, want float64) {
	t.Helper()
	c, err := newClient(r.server())
	if err != nil {
		t.Fatal(err)
	}
	var last model.Value
	for deadline := time.Now().Add(patienceOfTests); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if last, err = c.ask(context.Background(), "", query, time.Time{}); err != nil {
			continue
		}
		if v, ok := last.(model.Vector); ok && len(v) == 1 && float64(v[0].Value) == want {
			return
		}
	}
	t.Fatalf("%s did not become %g: %v, %v", query, want, last, err)
}

// rests waits until all versions of a case have been scraped twice from now on. A
// source that begins then has counted nothing that comes, and everything that was:
// it begins at the last scrape of the candidate that the live version was scraped
// after, which may be the one before the last.
func (r *running) rests(t *testing.T, name string) {
	t.Helper()
	c, err := newClient(r.server())
	if err != nil {
		t.Fatal(err)
	}
	query, deadline := fmt.Sprintf(`min(timestamp(web_requests_total{case=%q}))`, name), time.Now().Add(patienceOfTests)
	for range 2 {
		for from := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			last, err := c.ask(context.Background(), "", query, time.Time{})
			if v, ok := last.(model.Vector); err == nil && ok && len(v) == 1 && float64(v[0].Value) > float64(from.UnixMilli())/1000 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is not after %s: %v, %v", query, from, last, err)
			}
		}
	}
}

// app is one replica of a version, with metrics of its own.
type app struct {
	version, address string

	lock     sync.Mutex
	down     bool
	metrics  http.Handler
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	native   *prometheus.HistogramVec
}

func startApp(t *testing.T, version string) *app {
	t.Helper()
	a := &app{version: version}
	a.restart()
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.address = s.Listener.Addr().String()
	return a
}

// restart forgets all counts, as a process that is started anew.
func (a *app) restart() {
	a.lock.Lock()
	defer a.lock.Unlock()
	registry := prometheus.NewRegistry()
	a.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "web_requests_total"}, []string{"code"})
	a.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Buckets: []float64{0.1, 0.5, 1},
	}, []string{"code"})
	native := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "native_seconds", NativeHistogramBucketFactor: 1.1,
	}, []string{"code"})
	registry.MustRegister(a.requests, a.seconds, native)
	a.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	a.native = native
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Requests are counted all at once: no scrape sees a part of them.
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.down {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	a.metrics.ServeHTTP(w, r)
}

// fail makes scrapes fail, or not any more.
func (a *app) fail(down bool) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.down = down
}

// serve counts some requests.
func (a *app) serve(n int, code int, seconds float64) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.add(n, code, seconds)
}

// serveBoth counts good and failed requests at once.
func (a *app) serveBoth(good, failed int, seconds float64) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.add(good, 200, seconds)
	a.add(failed, 502, 2*seconds)
}

func (a *app) add(n int, code int, seconds float64) {
	label := strconv.Itoa(code)
	a.requests.WithLabelValues(label).Add(float64(n))
	for range n {
		a.seconds.WithLabelValues(label).Observe(seconds)
		a.native.WithLabelValues(label).Observe(seconds)
	}
}

// sums is what a source has said so far.
type sums struct {
	source          Source
	live, candidate deploy.Traffic
}

// measure asks once and adds up.
func (s *sums) measure(t *testing.T) Reading {
	t.Helper()
	r, err := s.source.Measure(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Measures {
		s.live, s.candidate = plus(s.live, m.Live), plus(s.candidate, m.Candidate)
	}
	return r
}

// until measures until both versions have had so many requests.
func (s *sums) until(t *testing.T, live, candidate uint64) {
	t.Helper()
	var missing []error
	for deadline := time.Now().Add(patienceOfTests); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		missing = s.measure(t).Missing
		if s.live.Requests > live || s.candidate.Requests > candidate {
			break
		}
		if s.live.Requests == live && s.candidate.Requests == candidate {
			return
		}
	}
	t.Fatalf("counted %d and %d requests, want %d and %d; missing: %v", s.live.Requests, s.candidate.Requests, live, candidate, missing)
}
