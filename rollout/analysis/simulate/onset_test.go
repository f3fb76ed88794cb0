package main

import "testing"

// Nothing is wrong before the onset, with any stress.
func TestNothingIsWrongBeforeTheOnset(t *testing.T) {
	for _, s := range gridStresses {
		w := quick.with(func(w *world) { w.stress, w.effect, w.onset = s, broken, 30 })
		r := w.run(1)
		for at := 0.0; at < 45; at += 15 {
			got := r.next(at, 15, .05, false).Candidate
			if failing := share(got) > .5; failing != (at >= 30) {
				t.Errorf("%s: from %g s on %d of %d fail", s, at, got.Errors, got.Requests)
			}
		}
	}
}
