package targettest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// owner is a run of which no process can be seen, so that its locks end by
// their time alone.
func owner(run string) deploy.Owner {
	return deploy.Owner{Run: run, Who: "who runs " + run, Reason: "release 1.0.0", URL: "https://ci.example/" + run}
}

// lock and unlock have to succeed.

func (w *world) lock(l deploy.Locker, o deploy.Owner, ttl time.Duration) {
	w.Helper()
	if err := l.Lock(w.limited(), o, ttl); err != nil {
		w.Fatalf("lock for %s: %v", o.Run, err)
	}
}

func (w *world) unlock(l deploy.Locker, o deploy.Owner) {
	w.Helper()
	if err := l.Unlock(w.limited(), o); err != nil {
		w.Fatalf("unlock for %s: %v", o.Run, err)
	}
}

// refused checks that somebody else's lock is told.
func (w *world) refused(err error, holder deploy.Owner) {
	w.Helper()
	var l *deploy.Locked
	if !errors.As(err, &l) {
		w.Fatalf("want a *deploy.Locked, got %v", err)
	}
	if l.Lock.Owner != holder || l.Lock.Since.IsZero() || !l.Lock.Expires.After(l.Lock.Since) {
		w.Errorf("the lock of %s is told as %+v", holder.Run, l.Lock)
	}
	for _, fact := range []string{l.Environment, w.name, holder.Who, holder.Reason, holder.URL} {
		if !strings.Contains(err.Error(), fact) {
			w.Errorf("the refusal does not say %q: %v", fact, err)
		}
	}
}

// held checks who holds the environment; nobody is the empty run.
func (w *world) held(run string) {
	w.Helper()
	got := ""
	if l := w.state().Lock; l != nil {
		got = l.Owner.Run
	}
	if got != run {
		w.Errorf("%q holds the environment, not %q", got, run)
	}
}

func lockRefused(w *world) {
	l := as[deploy.Locker](w)
	ada, bob := owner("ada"), owner("bob")
	w.unlock(l, ada) // of what nobody holds is fine
	w.lock(l, ada, time.Hour)
	w.held("ada")
	other := w.open().(deploy.Locker)
	w.refused(other.Lock(w.limited(), bob, time.Hour), ada)
	w.unlock(other, bob) // is left alone
	w.held("ada")
	w.unlock(l, ada)
	w.held("")
	w.lock(other, bob, time.Hour)
	w.refused(l.Lock(w.limited(), ada, time.Hour), bob)
	w.unlock(l, bob)
}

func lockExtended(w *world) {
	l := as[deploy.Locker](w)
	w.lock(l, owner("ada"), time.Hour)
	first := *w.state().Lock
	w.lock(l, owner("ada"), 2*time.Hour)
	second := *w.state().Lock
	if !second.Expires.After(first.Expires) || !second.Since.Equal(first.Since) || second.Owner != first.Owner {
		w.Errorf("extended from %+v to %+v", first, second)
	}
	w.unlock(l, owner("ada"))
}

func lockExpires(w *world) {
	l := as[deploy.Locker](w)
	ada, bob := owner("ada"), owner("bob")
	w.lock(l, ada, time.Second)
	ctx := w.limited()
	for {
		err := l.Lock(ctx, bob, time.Hour)
		if err == nil {
			break
		}
		w.refused(err, ada)
		time.Sleep(50 * time.Millisecond) // between two tries; the context ends them
	}
	w.held("bob")
	w.unlock(l, ada)
	w.held("bob")
	w.refused(l.Lock(w.limited(), ada, time.Hour), bob)
	w.unlock(l, bob)
}

func lockRace(w *world) {
	failed := race(w, func(l deploy.Locker, n int) error { return l.Lock(w.limited(), owner(fmt.Sprint(n)), time.Hour) })
	lock := w.state().Lock
	if lock == nil {
		w.Fatal("nobody holds the environment")
	}
	for _, err := range failed {
		w.refused(err, lock.Owner)
	}
	w.unlock(as[deploy.Locker](w), lock.Owner)
}
