package targettest

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

func emptyAtFirst(w *world) {
	s := w.state()
	if s.Live != nil || s.Candidate != nil || s.Share != 0 || len(s.Running) > 0 || s.Lock != nil || len(s.History) > 0 {
		w.Errorf("not empty: %s", summary(s))
	}
	if r := s.Record; r.Version != 0 || r.Unfinished() {
		w.Errorf("the journal is not empty: %+v", r)
	}
	w.stop(w.simple("1.0.0"))
	if after := w.state(); summary(after) != summary(s) {
		w.Errorf("to stop what is not there has changed %s to %s", summary(s), summary(after))
	}
}

func startedWithoutUsers(w *world) {
	s := service()
	s.Replicas = 2
	a := w.revision("1.0.0", s)
	w.start(a)
	w.runs(a, 2)
	w.is(deploy.Revision{}, a, 0)
	w.unserved(w.state().URL)
	w.answersItself(a)
}

// answersItself checks the route of a revision's own, where there is one.
func (w *world) answersItself(r deploy.Revision) {
	w.Helper()
	running, _ := w.state().Find(r.ID)
	if running.URL == "" {
		return
	}
	if got := w.ask(running.URL); got != r.Image.Version {
		w.Errorf("the route of %s answers %q", r, got)
	}
}

func startWaits(w *world) {
	a := w.revision("1.0.0", service(), "-start-after", "1s")
	w.start(a)
	w.runs(a, 1)
}

func startedBesideLive(w *world) {
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	before := w.bring(a)
	w.start(b)
	w.is(a, b, 0)
	w.runs(a, 1)
	w.runs(b, 1)
	w.only("1.0.0")
	w.answersItself(a)
	w.answersItself(b)
	if url := w.state().URL; url != before.URL {
		w.Errorf("the URL has moved from %s to %s", before.URL, url)
	}
}

func switched(w *world) {
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	w.bring(a)
	w.is(a, deploy.Revision{}, 0)
	w.only("1.0.0")
	w.start(b)
	w.makeLive(b)
	w.only("1.1.0")
	if s := w.state(); id(s.Live) != b.ID || id(s.Candidate) == b.ID || s.Share != 0 {
		w.Errorf("after a switch to %s: %s", b, summary(s))
	}
	w.runs(a, 1)
	w.answersItself(a)
	w.makeLive(a) // the way back
	w.only("1.0.0")
	w.runs(b, 1)
}

func switchNeedsStart(w *world) {
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	w.bring(a)
	if err := w.target.Switch(w.limited(), b); err == nil {
		w.Error("switched to what does not run")
	}
	w.is(a, deploy.Revision{}, 0)
	w.only("1.0.0")
}

func candidateStopped(w *world) {
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	w.bring(a)
	w.start(b)
	w.stop(b)
	w.runs(b, 0)
	w.runs(a, 1)
	w.is(a, deploy.Revision{}, 0)
	w.only("1.0.0")
	w.bring(b) // it may come again
	w.only("1.1.0")
}

func liveStopped(w *world) {
	a := w.simple("1.0.0")
	url := w.bring(a).URL
	w.stop(a)
	w.runs(a, 0)
	w.unserved(url)
	s := w.bring(a)
	w.only("1.0.0")
	if s.URL != url {
		w.Errorf("the URL has moved from %s to %s", url, s.URL)
	}
}

func stopDrains(w *world) {
	a := w.simple("1.0.0")
	w.bring(a)
	underWay := w.begin(2 * time.Second)
	w.stop(a)
	if body, err := underWay.end(); err != nil || body != "1.0.0." {
		w.Errorf("the request that was under way got %q, %v", body, err)
	}
	w.runs(a, 0)
}

func stopBoundsDrain(w *world) {
	s := service()
	s.Drain = time.Second
	a := w.revision("1.0.0", s)
	w.bring(a)
	underWay := w.begin(time.Hour)
	w.stop(a)
	w.runs(a, 0)
	if _, err := underWay.end(); err == nil {
		w.Error("a request of an hour was answered to its end")
	}
}

func stopInsists(w *world) {
	s := service()
	s.Drain = time.Second
	a := w.revision("1.0.0", s, "-ignore-term")
	w.bring(a)
	w.stop(a)
	w.runs(a, 0)
}

// repeated does everything three times: a run that is started again does.
func repeated(w *world) {
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	var before string
	thrice := func(what string, act func()) {
		w.Helper()
		for i := range 3 {
			act()
			if after := summary(w.state()); i > 0 && after != before {
				w.Errorf("%s for the %d. time has changed %s to %s", what, i+1, before, after)
			}
			before = summary(w.state())
		}
	}
	thrice("start", func() { w.start(a) })
	thrice("switch", func() { w.makeLive(a) })
	thrice("start what is live", func() { w.start(a) })
	thrice("start beside", func() { w.start(b) })
	if splitter, can := w.target.(deploy.Splitter); can {
		thrice("split", func() {
			if err := splitter.Split(w.limited(), b, 25); err != nil {
				w.Fatal(err)
			}
		})
	}
	if beside, can := w.target.(deploy.Baseliner); can && w.driver.Shares == nil {
		copied := a.AsBaseline(1)
		thrice("start a baseline", func() { w.startBaseline(copied) })
		thrice("split beside it", func() {
			if err := beside.SplitBeside(w.limited(), b, 25, 25); err != nil {
				w.Fatal(err)
			}
		})
		thrice("stop the baseline", func() { w.stop(copied) })
	}
	thrice("switch on", func() { w.makeLive(b) })
	thrice("stop", func() { w.stop(a) })
	w.runs(b, 1)
	w.only("1.1.0")
}

func twoProcesses(w *world) {
	a := w.simple("1.0.0")
	w.start(a)
	other := w.open()
	if err := other.Switch(w.limited(), a); err != nil {
		w.Fatalf("the other process cannot switch: %v", err)
	}
	w.is(a, deploy.Revision{}, 0)
	seen, err := other.State(w.limited())
	if err != nil || summary(seen) != summary(w.state()) {
		w.Errorf("one sees %s, the other %s, %v", summary(w.state()), summary(seen), err)
	}
	if err := other.Stop(w.limited(), a); err != nil {
		w.Fatal(err)
	}
	w.runs(a, 0)
}

func restarted(w *world) {
	a := w.simple("1.0.0")
	url := w.bring(a).URL
	if _, err := w.newcomer().get(w.limited(), url+"/exit"); err == nil {
		w.Fatal("the app has answered instead of ending")
	}
	w.until("a restart", func(s deploy.State) bool {
		running, _ := s.Find(a.ID)
		return running.Restarts() > 0 && running.Ready() == 1
	})
	w.settled(url, "1.0.0")
}

func sick(w *world) {
	a := w.simple("1.0.0")
	w.ask(w.bring(a).URL + "/sick")
	w.until("a replica that is not ready", func(s deploy.State) bool {
		running, _ := s.Find(a.ID)
		return running.Ready() == 0 && len(running.Replicas) == 1
	})
}

// contextsEnd calls everything for a caller who has gone already.
func contextsEnd(w *world) {
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	w.bring(a)
	w.start(b)
	before := summary(w.state())
	ctx, cancel := context.WithCancel(w.limited())
	cancel()
	_, err := w.target.State(ctx)
	errs := map[string]error{
		"state": err, "start": w.target.Start(ctx, b),
		"switch": w.target.Switch(ctx, b), "stop": w.target.Stop(ctx, b),
	}
	if t, can := w.target.(deploy.Splitter); can {
		errs["split"] = t.Split(ctx, b, 50)
	}
	if t, can := w.target.(deploy.Baseliner); can {
		errs["start a baseline"] = t.StartBaseline(ctx, a.AsBaseline(1))
	}
	if t, can := w.target.(deploy.Roller); can {
		errs["roll"] = t.Roll(ctx, b, deploy.Batch{Candidate: 1, Serving: 1, Live: 1, Total: 1})
	}
	if t, can := w.target.(deploy.Journal); can {
		errs["write"] = t.Write(ctx, deploy.Record{Candidate: b})
	}
	if t, can := w.target.(deploy.Locker); can {
		errs["lock"] = t.Lock(ctx, owner("late"), time.Minute)
	}
	for act, err := range errs {
		if !errors.Is(err, context.Canceled) {
			w.Errorf("%s: want context.Canceled, got %v", act, err)
		}
	}
	if after := summary(w.state()); after != before {
		w.Errorf("acts whose context had ended have changed %s to %s", before, after)
	}
}

// starting runs Start on its own until the revision is there, and gives back
// how to end its context and what it answers.
func (w *world) starting(r deploy.Revision) (giveUp context.CancelFunc, answer <-chan error) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.limited())
	answers := make(chan error, 1)
	go func() { answers <- w.target.Start(ctx, r) }()
	w.until("the start", func(s deploy.State) bool {
		running, _ := s.Find(r.ID)
		return len(running.Replicas) > 0
	})
	return cancel, answers
}

func startGivenUp(w *world) {
	a, b := w.simple("1.0.0"), w.revision("1.1.0", service(), "-sick")
	w.bring(a)
	giveUp, answer := w.starting(b)
	giveUp()
	err := <-answer
	var doomed *deploy.Doomed
	if !errors.Is(err, context.Canceled) || errors.As(err, &doomed) {
		w.Errorf("want context.Canceled, got %v", err)
	}
	w.is(a, b, 0)
	w.only("1.0.0")
	w.stop(b)
	w.runs(b, 0)
	w.is(a, deploy.Revision{}, 0)
}

func stopGivenUp(w *world) {
	s := service()
	s.Drain = w.driver.Patience
	a := w.revision("1.0.0", s)
	w.bring(a)
	underWay := w.begin(5 * time.Second)
	ctx, cancel := context.WithTimeout(w.limited(), 100*time.Millisecond)
	defer cancel()
	if err := w.target.Stop(ctx, a); !errors.Is(err, context.DeadlineExceeded) {
		w.Errorf("want context.DeadlineExceeded, got %v", err)
	}
	w.stop(a)
	w.runs(a, 0)
	if body, err := underWay.end(); err != nil || body != "1.0.0." {
		w.Errorf("the request that was under way got %q, %v", body, err)
	}
}
