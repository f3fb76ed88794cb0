package targettest

import (
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

func signalled(w *world) {
	to := as[deploy.Signaller](w)
	if s := w.state().Signal; s != nil {
		w.Fatalf("nobody has signalled, and the state tells %+v", s)
	}
	if l, can := w.target.(deploy.Locker); can { // a signal is for a run that is at work
		w.lock(l, owner("ada"), time.Hour)
		defer w.unlock(l, owner("ada"))
	}
	for _, kind := range []deploy.SignalKind{deploy.SignalPause, deploy.SignalAbort} {
		want := deploy.Signal{Kind: kind, Run: "ada", From: owner("bob"), At: time.Now().Round(0)}
		if err := to.Signal(w.limited(), want); err != nil {
			w.Fatalf("signal %s: %v", kind, err)
		}
		got, err := w.open().State(w.limited())
		if err != nil {
			w.Fatal(err)
		}
		if s := got.Signal; s == nil || s.Kind != kind || s.Run != want.Run || s.From != want.From || !s.At.Equal(want.At) {
			w.Errorf("the state tells %+v, not %+v", s, want)
		}
	}
}
