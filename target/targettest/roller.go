package targettest

import (
	"math"

	"github.com/slipway-ci/slipway/deploy"
)

// roll has to succeed; the numbers of replicas and the share are read back.
func (w *world) roll(live, candidate deploy.Revision, b deploy.Batch) {
	w.Helper()
	if err := as[deploy.Roller](w).Roll(w.limited(), candidate, b); err != nil {
		w.Fatalf("roll %s to %+v: %v", candidate, b, err)
	}
	w.runs(candidate, b.Candidate)
	w.runs(live, b.Live)
	if s := w.state(); math.Abs(float64(s.Share-b.Share())) > 0.01 || id(s.Live) != live.ID {
		w.Errorf("want a share of %s: %s", b.Share(), summary(s))
	}
}

// threes are two revisions of three replicas, the first of them live.
func (w *world) threes() (live, candidate deploy.Revision) {
	w.Helper()
	s := service()
	s.Replicas = 3
	live, candidate = w.revision("1.0.0", s), w.revision("1.1.0", s)
	w.bring(live)
	return live, candidate
}

// The batches of a rolling of three replicas, one at a time: those of the live
// side that are replaced stand by until the next batch.
var (
	firstStarted = deploy.Batch{Candidate: 1, Serving: 0, Live: 3, Total: 3}
	oneReplaced  = deploy.Batch{Candidate: 1, Serving: 1, Live: 3, Total: 3}
	twoReplaced  = deploy.Batch{Candidate: 2, Serving: 2, Live: 2, Total: 3}
	allReplaced  = deploy.Batch{Candidate: 3, Serving: 3, Live: 1, Total: 3}
	// usersBack takes what twoReplaced left back at once, liveWhole completes it.
	usersBack = deploy.Batch{Candidate: 2, Serving: 0, Live: 2, Total: 2}
	liveWhole = deploy.Batch{Live: 3, Total: 3}
)

func rolled(w *world) {
	as[deploy.Roller](w)
	a, b := w.threes()
	w.roll(a, b, firstStarted)
	w.only("1.0.0")
	w.roll(a, b, oneReplaced)
	// Of 300 newcomers a third, and nine standard deviations to each side.
	var got map[string]int
	if !w.comes(func() bool { got = w.answers(300); return got["1.1.0"] >= 25 && got["1.1.0"] <= 175 }) {
		w.Errorf("a third of 300 users is %v", got)
	}
	w.roll(a, b, twoReplaced)
	w.roll(a, b, twoReplaced)
	w.roll(a, b, usersBack)
	w.only("1.0.0")
	w.roll(a, b, liveWhole)
	w.stop(b)
	w.is(a, deploy.Revision{}, 0)
	w.runs(a, 3)
	for _, batch := range []deploy.Batch{firstStarted, oneReplaced, twoReplaced, allReplaced} {
		w.roll(a, b, batch)
	}
	w.only("1.1.0")
	w.makeLive(b)
	w.stop(a)
	w.runs(b, 3)
	w.is(b, deploy.Revision{}, 0)
	w.only("1.1.0")
}

func rollDoomed(w *world) {
	roller := as[deploy.Roller](w)
	a, _ := w.threes()
	s := service()
	s.Replicas = 3
	b := w.revision("1.1.0", s, "-say", "last words", "-exit", "1")
	w.saw(w.isDoomed(roller.Roll(w.limited(), b, firstStarted), b), "last words")
	w.only("1.0.0")
	w.roll(a, b, liveWhole)
	w.stop(b)
	w.runs(a, 3)
	w.is(a, deploy.Revision{}, 0)
	if err := roller.Roll(w.limited(), b, deploy.Batch{Candidate: 1, Serving: 2, Live: 2, Total: 3}); err == nil {
		w.Error("more replicas serve than run")
	}
}

func nothingLostByRoll(w *world) {
	as[deploy.Roller](w)
	a, b := w.threes()
	users := w.crowd()
	users.meets("1.0.0", 50)
	for _, batch := range []deploy.Batch{firstStarted, oneReplaced, twoReplaced, usersBack, liveWhole} {
		w.roll(a, b, batch)
		users.meets("1.0.0", 30)
	}
	for _, batch := range []deploy.Batch{oneReplaced, twoReplaced, allReplaced} {
		w.roll(a, b, batch)
		users.meets("1.1.0", 30)
	}
	w.makeLive(b)
	w.stop(a)
	users.meets("1.1.0", 50)
	users.quiet()
}
