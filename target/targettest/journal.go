package targettest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// write has to succeed.
func (w *world) write(j deploy.Journal, r deploy.Record) {
	w.Helper()
	if err := j.Write(w.limited(), r); err != nil {
		w.Fatalf("write record %d: %v", r.Version, err)
	}
}

// text is a value as it is kept.
func text(t testing.TB, v any) string {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func journalKept(w *world) {
	j := as[deploy.Journal](w)
	now := time.Now().UTC().Truncate(time.Second)
	r := deploy.Record{
		Owner:     deploy.Owner{Run: "17/1", URL: "https://ci.example/17", Who: "ada", Reason: "release 1.1.0", Host: "runner", PID: 17},
		Operation: "release", Phase: deploy.PhaseHolding, Stage: 2, Stages: 4, Share: 12.5,
		Strategy:  deploy.Strategy{Kind: deploy.Canary, Steps: []deploy.Percent{12.5, 100}, Hold: time.Second, Errors: 1},
		Candidate: w.secretive("1.1.0", "the second secret"), Previous: w.secretive("1.0.0", "the first secret"),
		Started: now.Add(-time.Minute), At: now,
	}
	w.write(j, r)
	r.Version = 1
	s := w.state()
	if got, want := text(w, s.Record), text(w, r); got != want {
		w.Errorf("wrote %s\nread %s", want, got)
	}
	if len(s.History) > 0 {
		w.Errorf("what is not settled is history: %s", summary(s))
	}
	r.Phase, r.Share = deploy.PhasePromoting, 100
	w.write(j, r)
	if got := w.state().Record; got.Version != 2 || got.Phase != deploy.PhasePromoting || got.Share != 100 {
		w.Errorf("read %+v", got)
	}
}

func journalConflict(w *world) {
	j := as[deploy.Journal](w)
	w.write(j, deploy.Record{Owner: owner("first")})
	w.write(j, deploy.Record{Owner: owner("first"), Version: 1})
	for _, version := range []uint64{0, 1, 3} {
		err := j.Write(w.limited(), deploy.Record{Owner: owner("second"), Version: version, Phase: deploy.PhaseSettled})
		if !errors.Is(err, deploy.ErrConflict) {
			w.Errorf("at version 2, a write of %d: want deploy.ErrConflict, got %v", version, err)
		}
	}
	if s := w.state(); s.Record.Version != 2 || s.Record.Owner.Run != "first" || len(s.History) > 0 {
		w.Errorf("what was refused was written: %+v", s.Record)
	}
}

// racers are so many processes that want the same at the same time.
const racers = 8

// race lets each of them try by a target of its own, and gives back their
// errors.
func race[C any](w *world, try func(c C, n int) error) []error {
	w.Helper()
	as[C](w)
	var all []C
	for range racers {
		all = append(all, w.open().(C))
	}
	errs, ready := make(chan error), make(chan struct{})
	for n, c := range all {
		go func() {
			<-ready
			errs <- try(c, n)
		}()
	}
	close(ready)
	var failed []error
	for range all {
		if err := <-errs; err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) != racers-1 {
		w.Errorf("%d of %d have succeeded: %v", racers-len(failed), racers, errors.Join(failed...))
	}
	return failed
}

func journalRace(w *world) {
	for _, err := range race(w, func(j deploy.Journal, n int) error {
		return j.Write(w.limited(), deploy.Record{Owner: owner(fmt.Sprint(n))})
	}) {
		if !errors.Is(err, deploy.ErrConflict) {
			w.Errorf("want deploy.ErrConflict, got %v", err)
		}
	}
	if r := w.state().Record; r.Version != 1 || r.Owner.Run == "" {
		w.Errorf("the record is %+v", r)
	}
}

func history(w *world) {
	j := as[deploy.Journal](w)
	const settled, kept = 12, 10
	a := w.simple("1.0.0")
	for i := range settled {
		r := deploy.Record{Version: uint64(2 * i), Owner: owner(fmt.Sprint(i)), Phase: deploy.PhaseStarting, Candidate: a}
		w.write(j, r)
		r.Version++
		r.Phase, r.Outcome, r.Reason = deploy.PhaseSettled, deploy.Promoted, "it is well"
		w.write(j, r)
	}
	s := w.state()
	if len(s.History) < kept {
		w.Fatalf("%d of %d settled records are kept", len(s.History), settled)
	}
	if s.Record.Version != 2*settled || s.Record.Unfinished() {
		w.Errorf("the last record is %+v", s.Record)
	}
	for i, r := range s.History[len(s.History)-kept:] {
		if want := fmt.Sprint(settled - kept + i); r.Owner.Run != want || r.Outcome != deploy.Promoted || r.Reason != "it is well" || r.Candidate.ID != a.ID {
			w.Errorf("record %d of the history is %+v, want that of run %s", i, r, want)
		}
	}
}
