// Command hello is a small web app to be deployed: what the demo, the
// benchmarks and the tests bring to an environment, and back.
//
// What it is like is decided when it is built, so that versions of it are
// different binaries:
//
//	go build -ldflags "-X main.version=1.2.0 -X main.fails=10" ./testdata/hello
//
// Its environment says what kind of app it is, and may make it behave worse; see
// settings.
package main

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Set by the linker.
var (
	version = "0.0.0"
	// fails is how many of a hundred requests are answered with 500, from the
	// first one on. The health check stays green: this is the kind of bad
	// version that only users notice.
	fails = "0"
	// after is how long after its first request that begins, such as 2m.
	after = "0s"
	// slow is how many times as long as DELAY says a request takes.
	slow = "1"
	// leak is how many KiB it never gives back of each request.
	leak = "0"
	// late makes it answer well until somebody has asked for /worsen, when not
	// empty.
	late = ""
	// crash makes it exit with code 1 instead of starting, when not empty.
	crash = ""
)

// page is what a browser shows; everybody else gets one line.
//
//go:embed page.html
var page string

func main() {
	log.SetFlags(0)
	log.SetPrefix("hello " + version + ": ")
	if len(os.Args) > 1 {
		work(os.Args[1])
		return
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	s, err := read(os.Getenv)
	if err != nil {
		return err
	}
	if crash != "" {
		return fmt.Errorf("cannot start: %s", crash)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return serve(ctx, s)
}

// settings come from the environment. Durations are such as 200ms.
type settings struct {
	// host is HOST, where it listens: on this machine alone without one.
	host string
	// port is PORT, 8080 without one.
	port string
	// delay is DELAY: how long a request takes.
	delay time.Duration
	// spread is SPREAD: the standard deviation of the logarithm of durations
	// around DELAY, up to 2; with zero all take as long.
	spread float64
	// memory is MEMORY: how many MiB of data it may hold before the kernel
	// refuses it more, from which it dies; zero is no limit.
	memory uint64
	// life is CRASH_AFTER: how long it lives before it exits with code 1; zero
	// is for ever.
	life time.Duration
	// once is KEEP_ALIVE=off: a connection carries one request.
	once bool
	// birth is START_AFTER: how long it takes before it listens.
	birth time.Duration
	// share of a hundred requests that fail, from so long after the first one on.
	share uint64
	after time.Duration
	// slow multiplies the delay.
	slow float64
	// leak is in bytes for each request.
	leak int
}

func read(getenv func(string) string) (settings, error) {
	s := settings{host: cmp.Or(getenv("HOST"), "127.0.0.1"), port: cmp.Or(getenv("PORT"), "8080")}
	if _, err := fmt.Sscanf(fails, "%d", &s.share); err != nil || s.share > 100 {
		return s, fmt.Errorf("it was built with fails=%q, which is not between 0 and 100", fails)
	}
	if err := s.built(); err != nil {
		return s, err
	}
	if _, err := fmt.Sscan(cmp.Or(getenv("SPREAD"), "0"), &s.spread); err != nil || !(s.spread >= 0 && s.spread <= 2) {
		return s, fmt.Errorf("SPREAD is %q, which is not between 0 and 2", getenv("SPREAD"))
	}
	if _, err := fmt.Sscan(cmp.Or(getenv("MEMORY"), "0"), &s.memory); err != nil {
		return s, fmt.Errorf("MEMORY is %q, which is not a number of MiB", getenv("MEMORY"))
	}
	switch keep := getenv("KEEP_ALIVE"); keep {
	case "", "on":
	case "off":
		s.once = true
	default:
		return s, fmt.Errorf("KEEP_ALIVE is %q, which is neither on nor off", keep)
	}
	for name, d := range map[string]*time.Duration{"DELAY": &s.delay, "CRASH_AFTER": &s.life, "START_AFTER": &s.birth} {
		value := getenv(name)
		if value == "" {
			continue
		}
		var err error
		if *d, err = time.ParseDuration(value); err != nil || *d < 0 {
			return s, fmt.Errorf("%s is %q, which is not a duration such as 200ms", name, value)
		}
	}
	return s, nil
}

// built reads what the linker has set, besides fails.
func (s *settings) built() (err error) {
	if s.after, err = time.ParseDuration(after); err != nil {
		return fmt.Errorf("it was built with after=%q, which is not a duration such as 2m", after)
	}
	if _, err := fmt.Sscan(slow, &s.slow); err != nil || !(s.slow > 0) {
		return fmt.Errorf("it was built with slow=%q, which is not above 0", slow)
	}
	if _, err := fmt.Sscan(leak, &s.leak); err != nil || s.leak < 0 {
		return fmt.Errorf("it was built with leak=%q, which is not a number of KiB", leak)
	}
	s.leak <<= 10
	return nil
}

// takes is how long one request takes.
func (s settings) takes() time.Duration {
	d := s.slow * float64(s.delay)
	if s.spread > 0 {
		d *= math.Exp(s.spread * rand.NormFloat64()) //nolint:gosec // nobody has to be unable to guess it
	}
	return time.Duration(d)
}

// serve answers until ctx ends, then lets the requests under way finish.
func serve(ctx context.Context, s settings) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(s.birth):
	}
	if err := limitMemory(s.memory << 20); err != nil {
		return fmt.Errorf("limit the memory to %d MiB: %w", s.memory, err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.host, s.port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(s), ReadHeaderTimeout: 10 * time.Second}
	server.SetKeepAlivesEnabled(!s.once)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Printf("listening on %s", listener.Addr())

	var death <-chan time.Time
	if s.life > 0 {
		death = time.After(s.life)
	}
	select {
	case err := <-ended:
		return err
	case <-death:
		return fmt.Errorf("crashed after %s, as CRASH_AFTER says", s.life)
	case <-ctx.Done():
	}
	log.Print("stopping")
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(bounded)
}

func handler(s settings) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /metrics", metrics)
	var asked atomic.Uint64
	var worse atomic.Bool
	var kept waste
	first := sync.OnceValue(time.Now)
	worse.Store(late == "")
	mux.HandleFunc("GET /worsen", func(w http.ResponseWriter, _ *http.Request) {
		worse.Store(true)
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		bad := worse.Load() && time.Since(first()) >= s.after
		time.Sleep(s.takes())
		kept.add(s.leak)
		if bad && due(asked.Add(1), s.share) {
			http.Error(w, "error from "+version, http.StatusInternalServerError)
			return
		}
		greet(w, r)
	})
	return mux
}

func greet(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, strings.ReplaceAll(page, "{{version}}", version))
		return
	}
	_, _ = fmt.Fprintln(w, "hello from", version)
}

// due spreads the failing requests evenly: of a hundred in a row, exactly as
// many fail as the share says.
func due(n, share uint64) bool { return n*share%100 < share }
