package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// move is a change of versions under the eyes of users.
type move struct {
	name, strategy string
	kind           kind
}

// kind is what a move does.
type kind int

const (
	// forward releases the version that is not live.
	forward kind = iota
	// reverted releases the bad version, which has to go back by itself.
	reverted
	// rollback goes back by hand.
	rollback
	// interrupted is recreate, whose users have to wait, or to come again.
	interrupted
)

var moves = []move{
	{"rolling", "rolling: {batch: 1, hold: 500ms}", forward},
	{"blue-green", "blue-green: {keep: 500ms}", forward},
	{"canary", "canary: {steps: [10%, 50%, 100%], hold: 1s}", forward},
	{"a revert of rolling", "rolling: {batch: 1, hold: 3s}", reverted},
	{"a revert of blue-green", "blue-green: {keep: 3s}", reverted},
	{"a revert of canary", "canary: {steps: [10%, 50%, 100%], hold: 3s}", reverted},
	{"rollback", quick, rollback},
	{"recreate, which has a downtime", "recreate: {hold: 500ms}", interrupted},
}

// lostRequests counts what users lose while versions change.
func (b *bench) lostRequests(ctx context.Context) error {
	if err := b.production(2, quick); err != nil {
		return err
	}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		if err := b.release(ctx, version); err != nil {
			return err
		}
	}
	for _, m := range moves {
		all, rounds := workshop.Count{}, b.rounds(3, 1)
		for range rounds {
			c, err := b.move(ctx, m)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			all = all.Plus(c)
		}
		b.tell(m, rounds, all)
	}
	return nil
}

func (b *bench) tell(m move, rounds int, c workshop.Count) {
	name, measured := "requests lost, "+m.name, received(c)
	if m.kind == interrupted {
		down := time.Duration(c.Lost) * time.Second / perSecond / time.Duration(rounds)
		b.know(name, "%s; about %s each time", measured, short(down))
		return
	}
	b.unbroken(name, c)
}

// unbroken adds what users got where nothing may be lost, and no version but
// the bad one has a right to fail.
func (b *bench) unbroken(name string, c workshop.Count) {
	if c.Lost > 0 {
		b.say("  the first that was lost, %s", c.FirstLost)
	}
	b.none(name, c.Failed()-c.Faults[bad], "%s", received(c))
}

// received is what users got, in words.
func received(c workshop.Count) string {
	s := fmt.Sprintf("%d of %d; slowest answer %s", c.Lost, c.Sent, short(c.Slowest))
	if n := c.Faults[bad]; n > 0 {
		s += fmt.Sprintf("; %d failed on the bad version itself", n)
	}
	return s
}

// move makes a move once, with users before, meanwhile and after.
func (b *bench) move(ctx context.Context, m move) (workshop.Count, error) {
	if err := b.production(2, m.strategy); err != nil {
		return workshop.Count{}, err
	}
	command, code, err := b.command(ctx, m)
	if err != nil {
		return workshop.Count{}, err
	}
	return b.whileServing(ctx, func(*workshop.Users) error {
		_, err := b.deploy(ctx, code, strings.Fields(command)...)
		return err
	})
}

// command is what makes a move, and the exit code that it has to have.
func (b *bench) command(ctx context.Context, m move) (command string, code int, err error) {
	if m.kind == reverted {
		return "release --version " + bad, 3, b.Use(bad)
	}
	next, err := b.other(ctx)
	if err != nil {
		return "", 0, err
	}
	if m.kind == rollback { // of a release that has just been made
		return "rollback --environment production", 0, b.release(ctx, next)
	}
	return "release --version " + next, 0, b.Use(next)
}

// other is the good version that is not live.
func (b *bench) other(ctx context.Context) (string, error) {
	live, _, err := b.live(ctx)
	if live == "1.0.0" {
		return "1.1.0", err
	}
	return "1.0.0", err
}

// whileServing does something while users send requests, and for half a second
// before and after.
func (b *bench) whileServing(ctx context.Context, act func(*workshop.Users) error) (workshop.Count, error) {
	_, url, err := b.live(ctx)
	if err != nil {
		return workshop.Count{}, err
	}
	users := workshop.Send(url, perSecond)
	defer users.End()
	still := func(*workshop.Users) error { return workshop.Pause(ctx, 500*time.Millisecond) }
	for _, do := range []func(*workshop.Users) error{still, act, still} {
		if err := do(users); err != nil {
			return workshop.Count{}, err
		}
	}
	return users.End(), nil
}
