package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// notices keeps what is told.
type notices struct{ said []string }

func (n *notices) Report(_ context.Context, e deploy.Event) error {
	if e.Kind == deploy.Notice {
		n.said = append(n.said, e.Message)
	}
	return nil
}

// A hold that its run has left behind is waited for, and said once; every other
// one is refused, with who has it.
func TestAHoldThatIsLeftIsWaitedFor(t *testing.T) {
	renew := func(f *fake, o deploy.Owner) { _ = f.Lock(context.Background(), o, 15*time.Second) }
	for name, c := range map[string]struct {
		ttl   time.Duration
		alive bool
		// meanwhile is what others do two seconds on.
		meanwhile func(*fake)
		refused   string
		// least and most are how long it takes.
		least, most time.Duration
		said        int
	}{
		"left by a dead run": {ttl: 15 * time.Second, least: 15 * time.Second, most: 15 * time.Second, said: 1},
		"renewed":            {ttl: 15 * time.Second, meanwhile: func(f *fake) { renew(f, somebody) }, refused: "held by grace", least: 2 * time.Second, most: 4 * time.Second, said: 1},
		"given back":         {ttl: 15 * time.Second, meanwhile: func(f *fake) { _ = f.Unlock(context.Background(), somebody) }, least: 2 * time.Second, most: 4 * time.Second, said: 1},
		"taken by another": {ttl: 15 * time.Second, meanwhile: func(f *fake) {
			_ = f.Unlock(context.Background(), somebody)
			renew(f, deploy.Owner{Run: "run-3", Who: "linus"})
		}, refused: "held by linus", least: 2 * time.Second, most: 4 * time.Second, said: 1},
		"seen alive":                   {ttl: 15 * time.Second, alive: true, refused: "held by grace"},
		"longer than any that renews":  {ttl: time.Minute, refused: "held by grace"},
		"a little longer than our own": {ttl: 18 * time.Second, least: 18 * time.Second, most: 18 * time.Second, said: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, told := serving(), &notices{}
				f.alive = c.alive
				if err := f.Lock(t.Context(), somebody, c.ttl); err != nil {
					t.Fatal(err)
				}
				if c.meanwhile != nil {
					time.AfterFunc(2*time.Second, func() { c.meanwhile(f) })
				}
				began := time.Now()
				r := (&Engine{Reporter: told}).Settle(t.Context(), f, me)
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("it took %s, want %s to %s", took, c.least, c.most)
				}
				locked, refused := errors.AsType[*deploy.Locked](r.Err)
				if refused != (c.refused != "") || refused && !strings.Contains(locked.Error(), c.refused) {
					t.Errorf("%s: %v", r.Outcome, r.Err)
				}
				if !refused && r.Outcome != deploy.Unchanged {
					t.Errorf("%s: %s", r.Outcome, r.Reason)
				}
				if len(told.said) != c.said {
					t.Errorf("it says %q", told.said)
				}
			})
		})
	}
}

func TestTheWaitForAHoldCanBeInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		if err := f.Lock(t.Context(), somebody, 15*time.Second); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2500*time.Millisecond, func() { cancel(errors.New("SIGTERM")) })
		r := (&Engine{}).Settle(ctx, f, me)
		if r.Outcome != deploy.Failed || !strings.Contains(r.Reason, "SIGTERM") || !strings.Contains(r.Reason, "held by grace") {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
		if f.state.Lock == nil || f.state.Lock.Owner.Run != somebody.Run {
			t.Errorf("the hold is %+v", f.state.Lock)
		}
	})
}
