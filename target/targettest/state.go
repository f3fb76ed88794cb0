package targettest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// summary is a state in a line, without what differs from one moment or one
// replica to the next: names, times and counts of requests.
func summary(s deploy.State) string {
	running := make([]string, len(s.Running))
	for i, r := range s.Running {
		running[i] = fmt.Sprintf("%s: %d of %d ready, %d restarts", r.Revision.ID, r.Ready(), len(r.Replicas), r.Restarts())
	}
	slices.Sort(running)
	lock := "nobody"
	if s.Lock != nil {
		lock = s.Lock.Owner.Run
	}
	return fmt.Sprintf("live %s, candidate %s at %s, baseline %s at %s, running [%s], record %d %q, %d in history, held by %s, at %s",
		id(s.Live), id(s.Candidate), s.Share, id(s.Baseline), s.BaselineShare, strings.Join(running, "; "), s.Record.Version, s.Record.Phase, len(s.History), lock, s.URL)
}

func id(r *deploy.Revision) string {
	if r == nil {
		return "-"
	}
	return r.ID
}

// is checks what is live, and which candidate has which share; a zero revision
// means none.
func (w *world) is(live, candidate deploy.Revision, share deploy.Percent) {
	w.Helper()
	s := w.state()
	name := func(r deploy.Revision) string {
		if r.IsZero() {
			return "-"
		}
		return r.ID
	}
	if id(s.Live) != name(live) || id(s.Candidate) != name(candidate) || s.Share != share {
		w.Errorf("want live %s, candidate %s at %s; the state is %s", name(live), name(candidate), share, summary(s))
	}
}

// runs checks that a revision runs completely, and what: its own image.
func (w *world) runs(r deploy.Revision, replicas int) {
	w.Helper()
	s := w.state()
	running, found := s.Find(r.ID)
	if replicas == 0 {
		if found && len(running.Replicas) > 0 {
			w.Errorf("%s runs still: %s", r, summary(s))
		}
		return
	}
	if len(running.Replicas) != replicas || running.Ready() != replicas {
		w.Fatalf("want %d replicas of %s: %s", replicas, r, summary(s))
	}
	names := map[string]bool{}
	for _, x := range running.Replicas {
		if x.Digest != r.Image.Digest {
			w.Errorf("replica %s runs %s, not %s", x.Name, x.Digest, r.Image.Digest)
		}
		if x.Name == "" || names[x.Name] || x.Since.IsZero() {
			w.Errorf("replica %+v has no name of its own, or is there since no time", x)
		}
		names[x.Name] = true
	}
}
