package targettest

import (
	"math"

	"github.com/slipway-ci/slipway/deploy"
)

// split has to succeed and to be read back as what can be had of it.
func (w *world) split(live, candidate deploy.Revision, share deploy.Percent) {
	w.Helper()
	if err := as[deploy.Splitter](w).Split(w.limited(), candidate, share); err != nil {
		w.Fatalf("give %s to %s: %v", share, candidate, err)
	}
	if w.driver.Shares != nil {
		share = w.driver.Shares(share, candidate.Config.Replicas)
	}
	w.is(live, candidate, share)
}

// beside has 1.0.0 live and 1.1.0 started.
func (w *world) beside() (live, candidate deploy.Revision) {
	w.Helper()
	live, candidate = w.simple("1.0.0"), w.simple("1.1.0")
	w.bring(live)
	w.start(candidate)
	return live, candidate
}

func splitFollowed(w *world) {
	as[deploy.Splitter](w)
	a, b := w.beside()
	w.split(a, b, 0)
	w.only("1.0.0")
	w.split(a, b, 12.5)
	w.split(a, b, 50)
	// Of 400 newcomers between a quarter and three quarters: ten standard
	// deviations to each side.
	var got map[string]int
	if !w.comes(func() bool { got = w.answers(400); return got["1.1.0"] >= 100 && got["1.1.0"] <= 300 }) {
		w.Errorf("the half of 400 users is %v", got)
	}
	w.split(a, b, 100)
	w.only("1.1.0")
	w.split(a, b, 0)
	w.only("1.0.0")
	w.split(a, b, 50)
	w.stop(b)
	w.is(a, deploy.Revision{}, 0)
	w.only("1.0.0")
}

func splitRefused(w *world) {
	splitter := as[deploy.Splitter](w)
	a, b := w.beside()
	w.split(a, b, 10)
	before := summary(w.state())
	for _, share := range []deploy.Percent{-1, 100.5, deploy.Percent(math.NaN()), deploy.Percent(math.Inf(1))} {
		if err := splitter.Split(w.limited(), b, share); err == nil {
			w.Errorf("%v is a share", float64(share))
		}
	}
	if err := splitter.Split(w.limited(), w.simple("1.2.0"), 10); err == nil {
		w.Error("what is not started has got users")
	}
	if after := summary(w.state()); after != before {
		w.Errorf("what was refused has changed %s to %s", before, after)
	}
}

func sticky(w *world) {
	as[deploy.Splitter](w)
	a, b := w.beside()
	url := w.state().URL
	w.split(a, b, 20)
	users := make([]user, 60) // that a fifth of them is nobody happens once in 600,000 times
	for i := range users {
		users[i] = w.newcomer()
	}
	visit := func() (onCandidate map[int]bool) {
		onCandidate = map[int]bool{}
		for i, u := range users {
			body, err := u.get(w.limited(), url)
			if err != nil {
				w.Fatal(err)
			}
			onCandidate[i] = body == "1.1.0"
		}
		return onCandidate
	}
	placed := visit()
	for _, share := range []deploy.Percent{20, 50, 100} {
		w.split(a, b, share)
		now := visit()
		moved, met := 0, 0
		for i := range users {
			if placed[i] {
				met++
			}
			if placed[i] && !now[i] || share == 20 && placed[i] != now[i] {
				moved++
			}
		}
		if met == 0 || moved > 0 {
			w.Errorf("at %s: %d of %d users who were placed have changed their side", share, moved, met)
		}
		placed = now
	}
	w.split(a, b, 0)
	for i, on := range visit() {
		if on {
			w.Errorf("user %d is on the candidate still", i)
		}
	}
}

func nothingLostBySplit(w *world) {
	as[deploy.Splitter](w)
	a := w.simple("1.0.0")
	w.bring(a)
	users := w.crowd()
	users.meets("1.0.0", 50)
	b := w.simple("1.1.0")
	w.start(b)
	w.split(a, b, 10)
	users.meets("1.1.0", 10)
	w.split(a, b, 50)
	users.meets("1.1.0", 50)
	w.split(a, b, 100)
	users.meets("1.1.0", 50)
	w.split(a, b, 0)
	users.meets("1.0.0", 50)
	w.stop(b)
	w.start(b)
	w.split(a, b, 50)
	users.meets("1.1.0", 10)
	w.stop(b) // out of its traffic
	users.meets("1.0.0", 50)
	users.quiet()
}
