package targettest

import (
	"math"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// startBaseline has to succeed.
func (w *world) startBaseline(b deploy.Revision) {
	w.Helper()
	if err := as[deploy.Baseliner](w).StartBaseline(w.limited(), b); err != nil {
		w.Fatalf("start the baseline %s: %v", b, err)
	}
}

// compared has 1.0.0 live, 1.1.0 started, and 1.0.0 once more beside it.
func (w *world) compared() (live, candidate, baseline deploy.Revision) {
	w.Helper()
	as[deploy.Baseliner](w)
	live, candidate = w.beside()
	baseline = live.AsBaseline(1)
	w.startBaseline(baseline)
	return live, candidate, baseline
}

// splitBeside has to succeed and to be read back.
func (w *world) splitBeside(live, candidate, baseline deploy.Revision, share, beside deploy.Percent) {
	w.Helper()
	if err := as[deploy.Baseliner](w).SplitBeside(w.limited(), candidate, share, beside); err != nil {
		w.Fatalf("give %s to %s and %s to %s: %v", share, candidate, beside, baseline, err)
	}
	w.is(live, candidate, share)
	w.baselineIs(baseline, beside)
}

// baselineIs checks which baseline has which share; a zero revision means none.
func (w *world) baselineIs(baseline deploy.Revision, share deploy.Percent) {
	w.Helper()
	s, want := w.state(), "-"
	if !baseline.IsZero() {
		want = baseline.ID
	}
	if id(s.Baseline) != want || s.BaselineShare != share {
		w.Errorf("want the baseline %s at %s; the state is %s", want, share, summary(s))
	}
}

// sides tell who answers, where a version runs twice.
type sides struct {
	world *world
	// url asks who answers, and live is what the replica that is live answers.
	url, live string
}

// sides are learnt while the baseline and the candidate have no users.
func (w *world) sides() sides {
	w.Helper()
	url := w.state().URL + "/me"
	return sides{w, url, w.ask(url)}
}

// of is the side of a user.
func (s sides) of(u user) string {
	s.world.Helper()
	body, err := u.get(s.world.limited(), s.url)
	switch {
	case err != nil:
		s.world.Fatal(err)
	case body == s.live:
		return "live"
	case strings.HasPrefix(body, "1.0.0 "):
		return "baseline"
	}
	return "candidate"
}

// meet counts the sides of newcomers.
func (s sides) meet(newcomers int) map[string]int {
	s.world.Helper()
	got := map[string]int{}
	for range newcomers {
		got[s.of(s.world.newcomer())]++
	}
	return got
}

// between checks the shares of 300 newcomers: each side has its own by seven
// standard deviations at least, and one without users has none.
func (s sides) between(want map[string]deploy.Percent) {
	s.world.Helper()
	const newcomers = 300
	got := s.meet(newcomers)
	for _, side := range []string{"live", "candidate", "baseline"} {
		p := want[side].Fraction()
		slack := 7 * math.Sqrt(newcomers*p*(1-p))
		if math.Abs(float64(got[side])-newcomers*p) > slack {
			s.world.Errorf("want %v; of %d newcomers went %v", want, newcomers, got)
			return
		}
	}
}

func baselineStarted(w *world) {
	as[deploy.Baseliner](w)
	a, b := w.secretive("1.0.0", "the first secret"), w.secretive("1.1.0", "the second secret")
	w.bring(a)
	w.start(b)
	sides, copied := w.sides(), a.AsBaseline(2)
	w.startBaseline(copied)
	w.runs(a, 1)
	w.runs(b, 1)
	w.runs(copied, 2)
	w.is(a, b, 0)
	w.baselineIs(copied, 0)
	sides.between(map[string]deploy.Percent{"live": 100})
	running, _ := w.state().Find(copied.ID)
	if running.URL != "" {
		w.sees(running.URL, "1.0.0", "the first secret")
	}
	w.stop(copied)
	w.runs(copied, 0)
	w.runs(a, 1)
	w.is(a, b, 0)
	w.baselineIs(deploy.Revision{}, 0)
}

func baselineFollowed(w *world) {
	a, b, copied := w.compared()
	sides := w.sides()
	w.splitBeside(a, b, copied, 20, 20)
	sides.between(map[string]deploy.Percent{"live": 60, "candidate": 20, "baseline": 20})
	w.splitBeside(a, b, copied, 50, 50)
	sides.between(map[string]deploy.Percent{"candidate": 50, "baseline": 50})
	w.splitBeside(a, b, copied, 66.7, 33.3)
	sides.between(map[string]deploy.Percent{"candidate": 66.7, "baseline": 33.3})
	w.split(a, b, 0) // the way back
	w.baselineIs(copied, 0)
	sides.between(map[string]deploy.Percent{"live": 100})
	w.splitBeside(a, b, copied, 0, 50)
	sides.between(map[string]deploy.Percent{"live": 50, "baseline": 50})
	w.splitBeside(a, b, copied, 25, 25)
	w.stop(copied)
	w.is(a, b, 25)
	w.baselineIs(deploy.Revision{}, 0)
	sides.between(map[string]deploy.Percent{"live": 75, "candidate": 25})
	w.startBaseline(copied) // it may come again
	w.splitBeside(a, b, copied, 25, 25)
	w.stop(b)
	w.is(a, deploy.Revision{}, 0)
	w.baselineIs(copied, 0)
	sides.between(map[string]deploy.Percent{"live": 100})
	w.start(b)
	w.splitBeside(a, b, copied, 10, 10)
	w.makeLive(b)
	w.baselineIs(copied, 0)
	sides.between(map[string]deploy.Percent{"candidate": 100})
	w.makeLive(a)
	w.baselineIs(copied, 0)
	sides.between(map[string]deploy.Percent{"live": 100})
}

func baselineRefused(w *world) {
	beside := as[deploy.Baseliner](w)
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	if err := beside.StartBaseline(w.limited(), a.AsBaseline(1)); err == nil {
		w.Error("a baseline runs where nothing is live")
	}
	w.bring(a)
	w.start(b)
	before := summary(w.state())
	if err := beside.SplitBeside(w.limited(), b, 10, 10); err == nil {
		w.Error("a baseline that is not started has got users")
	}
	for _, r := range []deploy.Revision{b.AsBaseline(1), a, w.simple("1.2.0")} {
		if err := beside.StartBaseline(w.limited(), r); err == nil {
			w.Errorf("%s is a baseline of %s", r, a)
		}
	}
	if after := summary(w.state()); after != before {
		w.Errorf("what was refused has changed %s to %s", before, after)
	}
	copied := a.AsBaseline(1)
	w.startBaseline(copied)
	w.splitBeside(a, b, copied, 10, 10)
	before = summary(w.state())
	nan := deploy.Percent(math.NaN())
	for _, shares := range [][2]deploy.Percent{{60, 60}, {10, -1}, {-1, 10}, {0, 101}, {10, nan}, {nan, 10}} {
		if err := beside.SplitBeside(w.limited(), b, shares[0], shares[1]); err == nil {
			w.Errorf("%v and %v are shares", float64(shares[0]), float64(shares[1]))
		}
	}
	if after := summary(w.state()); after != before {
		w.Errorf("what was refused has changed %s to %s", before, after)
	}
}

// baselineSticky follows users while the shares grow: from the live side they may
// come to either, from the baseline to the candidate, and nobody comes back.
func baselineSticky(w *world) {
	as[deploy.Baseliner](w)
	a, b, copied := w.compared()
	sides := w.sides()
	w.splitBeside(a, b, copied, 20, 20)
	users, placed := make([]user, 60), map[int]string{}
	for i := range users {
		users[i] = w.newcomer()
		placed[i] = sides.of(users[i])
	}
	for _, shares := range [][2]deploy.Percent{{20, 20}, {50, 50}, {75, 25}} {
		w.splitBeside(a, b, copied, shares[0], shares[1])
		met := map[string]int{}
		for i, u := range users {
			now := sides.of(u)
			stays := now == placed[i] || placed[i] == "live" || placed[i] == "baseline" && now == "candidate" && shares[0] > 50
			if !stays || shares[0] == 20 && now != placed[i] {
				w.Errorf("at %s and %s a user of %s is with %s", shares[0], shares[1], placed[i], now)
			}
			placed[i] = now
			met[now]++
		}
		// That none of 60 is with a fifth of all happens once in 600,000 times.
		if met["candidate"] == 0 || met["baseline"] == 0 || met["live"] > 0 && shares[0] >= 50 {
			w.Errorf("at %s and %s the users are %v", shares[0], shares[1], met)
		}
	}
}

func nothingLostByBaseline(w *world) {
	as[deploy.Baseliner](w)
	a := w.simple("1.0.0")
	w.bring(a)
	users := w.crowd()
	users.meets("1.0.0", 50)
	b, copied := w.simple("1.1.0"), a.AsBaseline(1)
	w.start(b)
	for range 2 {
		w.startBaseline(copied)
		for _, shares := range [][2]deploy.Percent{{10, 10}, {50, 50}, {75, 25}} {
			w.splitBeside(a, b, copied, shares[0], shares[1])
			users.meets("1.0.0", 20)
			users.meets("1.1.0", 10)
		}
		w.stop(copied) // out of its traffic
		users.meets("1.0.0", 10)
		w.split(a, b, 0)
		users.meets("1.0.0", 50)
	}
	w.startBaseline(copied)
	w.splitBeside(a, b, copied, 50, 50)
	w.makeLive(b)
	w.stop(copied)
	w.stop(a)
	users.meets("1.1.0", 50)
	users.quiet()
}
