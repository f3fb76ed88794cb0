package targettest

import "github.com/slipway-ci/slipway/deploy"

func removed(w *world) {
	r := as[deploy.Remover](w)
	remove := func() {
		if err := r.Remove(w.limited()); err != nil {
			w.Fatalf("remove: %v", err)
		}
	}
	remove() // of what was never there is fine
	w.bring(w.simple("1.0.0"))
	w.start(w.simple("1.1.0"))
	remove()
	if s := w.state(); s.Live != nil || s.Candidate != nil || len(s.Running) > 0 || s.Record.Version != 0 || len(s.History) > 0 {
		w.Errorf("something is left: %s", summary(s))
	}
	remove()
	if s := w.bring(w.simple("1.0.0")); s.Live == nil || s.Live.Image.Version != "1.0.0" {
		w.Errorf("it cannot be used again: %s", summary(s))
	}
}
