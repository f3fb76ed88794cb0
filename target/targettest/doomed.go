package targettest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// logLimit is how many lines of a log are evidence.
const logLimit = 20

// doomed starts a revision that will never be ready and checks what is told of
// it. The time to start is far longer than anybody's patience where it is not
// a part of the case: the verdict must not wait for it.
func (w *world) doomed(r deploy.Revision) deploy.Evidence {
	w.Helper()
	return w.isDoomed(w.target.Start(w.limited(), r), r)
}

func (w *world) isDoomed(err error, r deploy.Revision) deploy.Evidence {
	w.Helper()
	var d *deploy.Doomed
	if !errors.As(err, &d) {
		w.Fatalf("want a *deploy.Doomed, got %v", err)
	}
	w.Logf("%v; hint: %s; log: %q", d, d.Hint, d.Evidence.Log)
	if d.Revision.ID != r.ID {
		w.Errorf("%s is doomed, not %s", d.Revision, r)
	}
	if d.Evidence.Reason == "" || d.Hint == "" {
		w.Errorf("neither reason nor hint may be missing: %+v", d)
	}
	if len(d.Evidence.Log) > logLimit {
		w.Errorf("%d lines of log", len(d.Evidence.Log))
	}
	return d.Evidence
}

// saw checks that a log has a line.
func (w *world) saw(e deploy.Evidence, line string) {
	w.Helper()
	if !slices.ContainsFunc(e.Log, func(l string) bool { return strings.Contains(l, line) }) {
		w.Errorf("the log does not say %q: %q", line, e.Log)
	}
}

func exits(w *world) {
	a, b := w.simple("1.0.0"), w.revision("1.1.0", service(), "-say", "last words", "-exit", "42")
	w.bring(a)
	evidence := w.doomed(b)
	w.saw(evidence, "last words")
	if !strings.Contains(evidence.Reason, "42") || evidence.Replica == "" {
		w.Errorf("the evidence names neither code nor replica: %+v", evidence)
	}
	if witness, can := w.target.(deploy.Witness); can {
		later, err := witness.Evidence(w.limited(), b)
		if err != nil || later.Reason == "" {
			w.Errorf("asked later: %+v, %v", later, err)
		}
		w.saw(later, "last words")
	}
	w.is(a, b, 0) // what was started stays until Stop
	w.only("1.0.0")
}

func neverReady(w *world) {
	s := service()
	s.StartTimeout = 10 * time.Second // enough to be started on a machine that is busy
	w.saw(w.doomed(w.revision("1.0.0", s, "-sick", "-say", "I feel sick")), "I feel sick")
}

func wrongPort(w *world) {
	s := service()
	s.StartTimeout = 20 * time.Second
	w.doomed(w.revision("1.0.0", s, "-port", "0"))
}

func noImage(w *world) {
	image := w.simple("1.0.0").Image
	image.Digest = "sha256:" + strings.Repeat("1", 64)
	w.doomed(w.revisionOf(image, service()))
}

func noProgram(w *world) {
	w.doomed(w.revisionOf(Push(w, Broken(w), w.driver.Repository, "1.0.0"), service()))
}

func afterDoom(w *world) {
	a, b, c := w.simple("1.0.0"), w.revision("1.1.0", service(), "-exit", "1"), w.simple("1.2.0")
	w.bring(a)
	w.doomed(b)
	w.doomed(b) // again is no different
	w.stop(b)
	w.runs(b, 0)
	w.is(a, deploy.Revision{}, 0)
	w.bring(c)
	w.only("1.2.0")
}
