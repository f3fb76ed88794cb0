package targettest

import (
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

func nothingLostBySwitch(w *world) {
	s := service()
	s.Replicas = 2
	a, b := w.revision("1.0.0", s), w.revision("1.1.0", s)
	w.bring(a)
	users := w.crowd()
	users.meets("1.0.0", 50)
	for _, step := range []struct{ next, last deploy.Revision }{{b, a}, {a, b}} {
		w.start(step.next)
		w.makeLive(step.next)
		users.meets(step.next.Image.Version, 50)
		w.stop(step.last)
		users.meets(step.next.Image.Version, 50)
	}
	users.quiet()
}

// traffic is what a target has counted for a revision.
func (w *world) traffic(s deploy.State, r deploy.Revision) deploy.Traffic {
	w.Helper()
	running, found := s.Find(r.ID)
	if !found {
		w.Fatalf("%s does not run: %s", r, summary(s))
	}
	if running.Traffic == nil {
		w.Skipf("%s does not count", w.target)
	}
	return *running.Traffic
}

func counted(w *world) {
	const fine, failing, slow = 20, 5, 3
	a := w.simple("1.0.0")
	s := w.bring(a)
	w.traffic(s, a)
	ask := func(path string, times int) {
		for range times {
			resp, err := w.newcomer().open(w.limited(), s.URL+path)
			if err != nil {
				w.Fatal(err)
			}
			_ = resp.Body.Close()
		}
	}
	ask("/", fine)
	ask("/fail", failing)
	for range slow {
		w.ask(s.URL + "/slow?" + slowly.String())
	}
	if running, _ := s.Find(a.ID); running.URL != "" {
		w.ask(running.URL) // a check, not a user
	}
	got := w.counts(a, fine+failing+slow)
	if got.Errors != failing || got.Lost != 0 {
		w.Errorf("%d errors and %d lost: %+v", failing, 0, got)
	}
	if quick := below(got.Latency, slowly); quick > fine+failing {
		w.Errorf("%d requests took less than %s, and %d of all took more: %+v", quick, slowly, slow, got.Latency)
	}
}

// counts waits until so many requests of a revision are counted, and checks
// that the counts agree.
func (w *world) counts(r deploy.Revision, requests uint64) deploy.Traffic {
	w.Helper()
	var got deploy.Traffic
	w.until("the count of the requests", func(s deploy.State) bool {
		got = w.traffic(s, r)
		return got.Requests >= requests
	})
	h := got.Latency
	var sum uint64
	for _, n := range h.Counts {
		sum += n
	}
	if got.Requests != requests || sum != requests {
		w.Errorf("%d requests were made: %+v", requests, got)
	}
	if len(h.Counts) != len(h.Le)+1 || !slices.IsSorted(h.Le) {
		w.Errorf("this is no histogram: %+v", h)
	}
	return got
}

// below counts what took less than a time, as far as the buckets tell.
func below(h deploy.Histogram, d time.Duration) uint64 {
	var n uint64
	for i, le := range h.Le {
		if le < d.Seconds() {
			n += h.Counts[i]
		}
	}
	return n
}

func countsBegin(w *world) {
	a := w.simple("1.0.0")
	s := w.bring(a)
	w.traffic(s, a)
	w.stop(a)
	w.unserved(s.URL)
	w.start(a)
	if got := w.traffic(w.state(), a); got.Requests != 0 || got.Errors != 0 {
		w.Errorf("started anew, it has %d requests and %d errors already", got.Requests, got.Errors)
	}
}
