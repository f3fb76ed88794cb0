package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// walks are the strategies with all moments of their rollouts that last long
// enough to meet them. With rolling and recreate, promoting is no such moment:
// by then nothing of the old version is left to be ended.
var walks = map[string][]moment{
	"{canary: {steps: [10%, 50%, 100%], hold: 300ms}}": {
		{deploy.PhaseStarting, 1}, {deploy.PhaseHolding, 2}, {deploy.PhaseHolding, 3}, {deploy.PhaseHolding, 4}, {deploy.PhasePromoting, 4},
	},
	"{canary: {steps: [10%, 60%, 100%], hold: 300ms, baseline: fresh}}": {
		{deploy.PhaseStarting, 2}, {deploy.PhaseHolding, 3}, {deploy.PhaseHolding, 4}, {deploy.PhaseHolding, 5},
	},
	"{blue-green: {keep: 300ms}}": {
		{deploy.PhaseStarting, 1}, {deploy.PhaseHolding, 2}, {deploy.PhasePromoting, 2},
	},
	"{blue-green: {keep: 0s, bake: 300ms}}": {
		{deploy.PhaseHolding, 3}, {deploy.PhasePromoting, 3},
	},
	"{rolling: {batch: 1, hold: 300ms}}": {
		{deploy.PhaseStarting, 1}, {deploy.PhaseHolding, 2}, {deploy.PhaseHolding, 3},
	},
	"{recreate: {hold: 300ms}}": {
		{deploy.PhaseShifting, 1}, {deploy.PhaseHolding, 1},
	},
}

// everyMoment runs a test in all of them. Seamless strategies may lose nobody.
func everyMoment(t *testing.T, test func(t *testing.T, s *scene, m moment, seamless bool)) {
	for strategy, moments := range walks {
		name, _, _ := strings.Cut(strings.TrimPrefix(strategy, "{"), ":")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, strategy)
			for _, m := range moments {
				t.Run(m.String(), func(t *testing.T) { test(t, s, m, name != "recreate") })
			}
		})
	}
}

// TestKillAndSettle kills a release with SIGKILL in every stage of every
// strategy while users send requests. Settle must leave one whole version, and
// no user may have noticed (but for recreate, which has a downtime).
func TestKillAndSettle(t *testing.T) {
	everyMoment(t, func(t *testing.T, s *scene, m moment, seamless bool) {
		s.reset(t)
		users := s.visit(t)
		s.use(t, "HELLO_1_1_0")
		left := s.killAt(t, m)
		s.must(t, "settle")
		count := users.end()
		want := "1.0.0"
		if left == deploy.PhasePromoting {
			want = "1.1.0"
		}
		s.whole(t, want)
		if harm := count.harm(); seamless && harm != "" {
			t.Error(harm)
		}
	})
}

// TestKillAroundABake kills a release when it has left its version to be
// watched, and then each scheduled run that ends the watch. What they leave is
// finished by the next one, or by settle, and no user has noticed.
func TestKillAroundABake(t *testing.T) {
	s := newScene(t, "{blue-green: {keep: 100ms, bake: {for: 1ms, by: schedule}}}")
	users := s.visit(t)
	s.use(t, "HELLO_1_1_0")
	s.killAt(t, moment{deploy.PhaseBaking, 3})
	s.must(t, "settle")
	if state := s.state(t); !state.Record.Baking() || len(state.Running) != 2 {
		t.Fatalf("after settle: phase %q, running %+v", state.Record.Phase, state.Running)
	}
	for range 3 {
		l := s.start(t, "reap")
		s.send(t, l, moment{deploy.PhasePromoting, 3}, os.Kill)
		l.wait(t)
	}
	s.must(t, "settle")
	s.whole(t, "1.1.0")
	if harm := users.end().harm(); harm != "" {
		t.Error(harm)
	}
}

// killAt leaves a release that was killed at the moment, and says in which
// phase it was left. One that was quicker than the signal is tried again.
func (s *scene) killAt(t *testing.T, m moment) deploy.Phase {
	t.Helper()
	for range 5 {
		l := s.start(t, "release", "--version", "1.1.0")
		s.send(t, l, m, os.Kill)
		l.wait(t)
		if left := momentOf(s.state(t).Record); left == m {
			return left.phase
		}
		s.must(t, "settle")
		s.reset(t)
	}
	t.Fatalf("the release was never met at %s", m)
	return ""
}

// TestInterrupt sends SIGINT or SIGTERM, as a person and a runner do, in every
// stage of every strategy, and once more on the way back. The release goes back
// by itself and says so. From promoting on it goes forward: then the way back
// would be the longer one.
func TestInterrupt(t *testing.T) {
	everyMoment(t, func(t *testing.T, s *scene, m moment, seamless bool) {
		s.reset(t)
		users := s.visit(t)
		s.use(t, "HELLO_1_1_0")
		want, live := deploy.Reverted, "1.0.0"
		switch m.phase {
		case deploy.PhaseStarting:
			want = deploy.Failed // no user had it
		case deploy.PhasePromoting:
			want, live = deploy.Promoted, "1.1.0"
		}
		s.interruptAt(t, m, want)
		count := users.end()
		s.whole(t, live)
		if harm := count.harm(); seamless && harm != "" {
			t.Error(harm)
		}
	})
}

// interruptAt interrupts a release at the moment and demands its outcome. One
// that was quicker than the signal, or had not begun to move, is tried again.
func (s *scene) interruptAt(t *testing.T, m moment, want deploy.Outcome) {
	t.Helper()
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	var l *launched
	for range 5 {
		l = s.start(t, "release", "--version", "1.1.0")
		if s.send(t, l, m, signals[m.stage%2]) {
			s.send(t, l, moment{deploy.PhaseReverting, m.stage}, os.Interrupt)
		}
		code := l.wait(t)
		if code == want.ExitCode() && strings.Contains(l.out.String(), string(want)+": ") {
			return
		}
		// Met while it wrote down what it was about to do, it has done nothing yet.
		early := code == deploy.Failed.ExitCode() && strings.Contains(l.out.String(), "interrupted while about to write the journal")
		if code != deploy.Promoted.ExitCode() && !early {
			t.Fatalf("at %s it exits with %d, want %d\n%s", m, code, want.ExitCode(), l.out.String())
		}
		s.reset(t)
	}
	t.Fatalf("the release was never interrupted at %s\n%s", m, l.out.String())
}
