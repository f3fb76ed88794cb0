// Command testapp is the app that the conformance suite deploys. Its flags,
// which stand in the entrypoint of an image, say how it misbehaves; the
// environment variable PORT says where it listens.
//
// It answers every path with its name, GET /env?NAME with the value of an
// environment variable, GET /slow?DURATION after a while, and GET /healthz.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// behaviour is what the flags ask for.
type behaviour struct {
	name       string
	unready    bool
	exitAfter  time.Duration
	exitCode   int
	say        string
	port       string
	startAfter time.Duration
	ignoreTerm bool
	sickAfter  time.Duration
}

func flags() behaviour {
	var b behaviour
	flag.StringVar(&b.name, "name", "testapp", "what every answer says")
	flag.BoolVar(&b.unready, "unready", false, "answer the health check with 503")
	flag.DurationVar(&b.exitAfter, "exit-after", -1, "exit after this time")
	flag.IntVar(&b.exitCode, "exit-code", 1, "with this code")
	flag.StringVar(&b.say, "say", "", "print a line at the start")
	flag.StringVar(&b.port, "port", os.Getenv("PORT"), "listen here, whatever PORT says")
	flag.DurationVar(&b.startAfter, "start-after", 0, "listen only after this time")
	flag.BoolVar(&b.ignoreTerm, "ignore-term", false, "do not end on SIGTERM")
	flag.DurationVar(&b.sickAfter, "sick-after", 0, "answer the health check with 503 after this time")
	flag.Parse()
	return b
}

func run() error {
	b := flags()
	if b.say != "" {
		fmt.Println(b.say)
	}
	if b.exitAfter >= 0 {
		time.AfterFunc(b.exitAfter, func() { os.Exit(b.exitCode) })
	}
	time.Sleep(b.startAfter)
	return b.serve()
}

// serve listens until SIGTERM, and then finishes what is under way.
func (b behaviour) serve() error {
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), b.port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: time.Minute}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	for {
		select {
		case err := <-served:
			return err
		case <-ended:
			if b.ignoreTerm {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := server.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		}
	}
}

func (b behaviour) handler() http.Handler {
	began := time.Now()
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if b.unready || b.sickAfter > 0 && time.Since(began) > b.sickAfter {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getenv(r.URL.RawQuery))
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(wait)
		fmt.Fprint(w, b.name)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, b.name) })
	return mux
}
