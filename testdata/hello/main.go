// Command hello is a small web app to be deployed: what the demo, the
// benchmarks and the tests bring to an environment, and back.
//
// What it is like is decided when it is built, so that versions of it are
// different binaries:
//
//	go build -ldflags "-X main.version=1.2.0 -X main.fails=10" ./testdata/hello
//
// Tests may make it behave worse by its environment; see settings.
package main

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
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
	// port is PORT, 8080 without one.
	port string
	// delay is DELAY: how long each request takes.
	delay time.Duration
	// life is CRASH_AFTER: how long it lives before it exits with code 1; zero
	// is for ever.
	life time.Duration
	// birth is START_AFTER: how long it takes before it listens.
	birth time.Duration
	// share of a hundred requests that fail.
	share uint64
}

func read(getenv func(string) string) (settings, error) {
	s := settings{port: cmp.Or(getenv("PORT"), "8080")}
	if _, err := fmt.Sscanf(fails, "%d", &s.share); err != nil || s.share > 100 {
		return s, fmt.Errorf("it was built with fails=%q, which is not between 0 and 100", fails)
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

// serve answers until ctx ends, then lets the requests under way finish.
func serve(ctx context.Context, s settings) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(s.birth):
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", s.port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(s), ReadHeaderTimeout: 10 * time.Second}
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
	var asked atomic.Uint64
	var worse atomic.Bool
	worse.Store(late == "")
	mux.HandleFunc("GET /worsen", func(w http.ResponseWriter, _ *http.Request) {
		worse.Store(true)
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(s.delay)
		if worse.Load() && due(asked.Add(1), s.share) {
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
