// Command testapp is the app that the conformance suite deploys. Its flags,
// which stand in the entrypoint of an image, say how it misbehaves; the
// environment variable PORT says where it listens.
//
//	GET /              its name; where a flag asks for it, 500 and "error from " with its name
//	GET /healthz       200, or 503 when it is sick
//	GET /me            its name, and a word that no other process has
//	GET /env?NAME      the value of an environment variable
//	GET /slow?DURATION headers and name at once, the end of the body after that
//	GET /burn?DURATION its name, after it has kept a processor busy for so long
//	GET /say?LINES     its name, after it has printed so many lines of 100 bytes
//	GET /fail          500
//	GET /sick          from now on it is sick
//	GET /exit          it ends at once, without an answer
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// app is what the flags ask for.
type app struct {
	name       string
	say        string
	tell       string
	want       []string
	count      int
	every      time.Duration
	exit       int
	port       string
	startAfter time.Duration
	ignoreTerm bool
	eat        int
	unless     string
	sick       atomic.Bool
	// failEach and sickAfter count answers of /; zero is never.
	failEach  uint64
	sickAfter uint64
	answers   atomic.Uint64
}

// parse reads the flags.
func parse() *app {
	var a app
	flag.StringVar(&a.name, "name", "testapp", "what every answer says")
	flag.StringVar(&a.say, "say", "", "print a line at the start")
	flag.StringVar(&a.tell, "tell", "", "print the value of an environment variable at the start")
	flag.Func("want", "exit with code 9, unless an environment variable is so: NAME=VALUE", func(s string) error {
		a.want = append(a.want, s)
		return nil
	})
	flag.IntVar(&a.count, "count", 0, "print so many lines at the start: line 1, line 2, …")
	flag.DurationVar(&a.every, "every", 0, "wait so long after each of them")
	flag.IntVar(&a.exit, "exit", -1, "exit at the start with this code")
	flag.StringVar(&a.port, "port", os.Getenv("PORT"), "listen here, whatever PORT says")
	flag.DurationVar(&a.startAfter, "start-after", 0, "listen only after this time")
	flag.BoolVar(&a.ignoreTerm, "ignore-term", false, "do not end on SIGTERM")
	flag.IntVar(&a.eat, "eat", 0, "take so many MiB of memory at the start")
	flag.StringVar(&a.unless, "exit-unless", "", "exit with code 1, unless this file is there, and make it")
	flag.Uint64Var(&a.failEach, "fail-each", 0, "fail each so manieth user")
	flag.Uint64Var(&a.sickAfter, "sick-after", 0, "be sick, and fail all users, after so many")
	sick := flag.Bool("sick", false, "answer the health check with 503")
	flag.Parse()
	a.sick.Store(*sick)
	return &a
}

func run() error {
	a := parse()
	if a.say != "" {
		fmt.Println(a.say)
	}
	if a.tell != "" {
		fmt.Println(os.Getenv(a.tell))
	}
	for _, w := range a.want {
		name, value, _ := strings.Cut(w, "=")
		if got := os.Getenv(name); got != value {
			fmt.Printf("%s is not as it should be\n", name)
			os.Exit(9)
		}
	}
	for i := range a.count {
		fmt.Printf("line %d\n", i+1)
		time.Sleep(a.every)
	}
	if a.exit >= 0 {
		os.Exit(a.exit)
	}
	if err := a.firstTime(); err != nil {
		return err
	}
	eaten := make([]byte, a.eat<<20)
	for i := range eaten {
		eaten[i] = 1 // memory counts once it is written to
	}
	time.Sleep(a.startAfter)
	defer runtime.KeepAlive(eaten)
	return a.serve()
}

// firstTime fails where the app is started for the first time and that shall
// not do.
func (a *app) firstTime() error {
	if a.unless == "" {
		return nil
	}
	if _, err := os.Stat(a.unless); err == nil {
		return nil
	}
	if err := os.WriteFile(a.unless, nil, 0o644); err != nil {
		return err
	}
	return errors.New("the database is not there yet")
}

// serve listens until SIGTERM, and then finishes what is under way.
func (a *app) serve() error {
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), a.port))
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	for {
		select {
		case err := <-served:
			return err
		case <-ended:
		}
		if a.ignoreTerm {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.answer)
	me := fmt.Sprintf("%s %016x", a.name, rand.Uint64())
	mux.HandleFunc("/me", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, me) })
	mux.HandleFunc("/healthz", a.health)
	mux.HandleFunc("/slow", a.slow)
	mux.HandleFunc("/burn", a.burn)
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getenv(r.URL.RawQuery)) })
	mux.HandleFunc("/say", a.prints)
	mux.HandleFunc("/fail", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("/sick", func(http.ResponseWriter, *http.Request) { a.sick.Store(true) })
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
	return mux
}

// answer is for a user.
func (a *app) answer(w http.ResponseWriter, _ *http.Request) {
	n := a.answers.Add(1)
	if a.sickAfter > 0 && n > a.sickAfter {
		a.sick.Store(true)
	}
	if a.failEach > 0 && n%a.failEach == 0 || a.sickAfter > 0 && a.sick.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "error from "+strings.TrimPrefix(a.name, "hello from "))
		return
	}
	fmt.Fprint(w, a.name)
}

func (a *app) health(w http.ResponseWriter, _ *http.Request) {
	if a.sick.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (a *app) burn(w http.ResponseWriter, r *http.Request) {
	lasts, err := time.ParseDuration(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// An empty loop is the work.
	for end := time.Now().Add(lasts); time.Now().Before(end); {
	}
	fmt.Fprint(w, a.name)
}

// prints does not answer before all that it prints was taken.
func (a *app) prints(w http.ResponseWriter, r *http.Request) {
	lines, err := strconv.Atoi(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for i := range lines {
		fmt.Printf("%099d\n", i)
	}
	fmt.Fprint(w, a.name)
}

// slow lets the client see that its request has arrived before it waits.
func (a *app) slow(w http.ResponseWriter, r *http.Request) {
	wait, err := time.ParseDuration(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprint(w, a.name)
	_ = http.NewResponseController(w).Flush()
	time.Sleep(wait)
	fmt.Fprint(w, ".")
}
