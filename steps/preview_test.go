package steps

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-ci/slipway/deploy"
	client "github.com/slipway-ci/slipway/registry"
)

// place is an environment that can be removed, and remembers it.
type place struct {
	name    string
	last    time.Time
	lock    *deploy.Lock
	removed *[]string
}

func (p place) String() string { return p.name }

func (p place) State(context.Context) (deploy.State, error) {
	return deploy.State{Record: deploy.Record{At: p.last}, Lock: p.lock}, nil
}
func (place) Start(context.Context, deploy.Revision) error  { return errors.ErrUnsupported }
func (place) Switch(context.Context, deploy.Revision) error { return errors.ErrUnsupported }
func (place) Stop(context.Context, deploy.Revision) error   { return errors.ErrUnsupported }

func (p place) Remove(context.Context) error {
	*p.removed = append(*p.removed, p.name)
	return nil
}

// story collects what is told.
type story struct{ events []deploy.Event }

func (s *story) Report(_ context.Context, e deploy.Event) error {
	s.events = append(s.events, e)
	return nil
}

// standing previews: how long ago each was deployed to.
type previews map[string]time.Duration

// work is about an app whose previews these are, with what the forge says of
// the pull requests.
func (p previews) work(t *testing.T, limit int, busy string, pull func(context.Context, int) (Pull, error)) (*Work, *[]string, *story) {
	t.Helper()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	removed, told := &[]string{}, &story{}
	app := deploy.App{
		Name: "hello", Repository: strings.TrimPrefix(server.URL, "http://") + "/hello",
		Preview: &deploy.Preview{TTL: time.Hour, Limit: limit},
	}
	w := NewWork(Request{App: app, PullRequest: 12}, Tools{
		Images: &client.Client{}, Reporter: told, Pull: pull,
		List: func(context.Context, string, deploy.Environment) ([]string, error) {
			names := []string{"production"}
			for name := range p {
				names = append(names, name)
			}
			return names, nil
		},
		Target: func(_ context.Context, _ string, env deploy.Environment) (deploy.Target, error) {
			at := place{name: env.Name, last: time.Now().Add(-p[env.Name]), removed: removed}
			if env.Name == busy {
				at.lock = &deploy.Lock{}
			}
			return at, nil
		},
	})
	return w, removed, told
}

func TestReapRemovesWhatIsOver(t *testing.T) {
	pull := func(_ context.Context, number int) (Pull, error) {
		switch number {
		case 1:
			return Pull{Gone: "merged"}, nil
		case 2:
			return Pull{}, errors.New("GitHub is away")
		}
		return Pull{Open: true}, nil
	}
	standing := previews{"pr-1": time.Minute, "pr-2": time.Minute, "pr-3": time.Minute, "pr-4": 2 * time.Hour, "pr-5": 2 * time.Hour}
	w, removed, told := standing.work(t, 10, "pr-5", pull)
	if err := reap(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	slices.Sort(*removed)
	if diff := cmp.Diff([]string{"pr-1", "pr-4"}, *removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	text := ""
	for _, e := range told.events {
		text += fmt.Sprintf("%s %s %s\n", e.Kind, e.Environment, e.Message)
	}
	for _, want := range []string{"removed pr-1 pull request #1: merged", "removed pr-4 nobody has deployed to it for 2h", "warning pr-2 whether pull request #2 is open is not known: GitHub is away"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q was not told:\n%s", want, text)
		}
	}
}

func TestMakeRoom(t *testing.T) {
	tests := map[string]struct {
		standing previews
		limit    int
		busy     string
		want     []string
		fails    bool
	}{
		"there is room":                {previews{"pr-1": time.Hour}, 2, "", nil, false},
		"the oldest goes":              {previews{"pr-1": time.Minute, "pr-2": time.Hour}, 2, "", []string{"pr-2"}, false},
		"its own place is there":       {previews{"pr-12": time.Minute, "pr-2": time.Hour}, 2, "", nil, false},
		"the limit was lowered":        {previews{"pr-1": 1, "pr-2": time.Minute, "pr-3": time.Hour}, 2, "", []string{"pr-3", "pr-2"}, false},
		"one that is in use stays":     {previews{"pr-1": time.Minute, "pr-2": time.Hour}, 2, "pr-2", []string{"pr-1"}, false},
		"all that there are in use":    {previews{"pr-2": time.Hour}, 1, "pr-2", nil, true},
		"what is no preview is spared": {previews{"pr-x": time.Hour}, 1, "", nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, removed, _ := tt.standing.work(t, tt.limit, tt.busy, nil)
			err := makeRoom(t.Context(), w)
			if (err != nil) != tt.fails || tt.fails && deploy.HintOf(err) == "" {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(tt.want, *removed); diff != "" && len(tt.want)+len(*removed) > 0 {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
		})
	}
}

// held is a place that counts how often it is taken.
type held struct {
	place
	phase deploy.Phase
	taken *int
}

func (h held) State(context.Context) (deploy.State, error) {
	return deploy.State{Record: deploy.Record{Phase: h.phase}, Lock: h.lock}, nil
}

func (h held) Lock(context.Context, deploy.Owner, time.Duration) error { *h.taken++; return nil }
func (held) Unlock(context.Context, deploy.Owner) error                { return nil }

// The hold of an environment makes its place: one that is not there is none to be
// held.
func TestWhatIsNotThereIsNotHeldToBeRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		phase deploy.Phase
		lock  *deploy.Lock
		want  int
	}{
		"nothing is there":      {},
		"something was":         {phase: deploy.PhaseSettled, want: 1},
		"somebody is beginning": {lock: &deploy.Lock{}, want: 1},
	} {
		removed, taken := []string{}, 0
		h := held{place{name: "pr-12", lock: c.lock, removed: &removed}, c.phase, &taken}
		if err := (&Work{}).alone(t.Context(), h, h); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if taken != c.want || len(removed) != 1 {
			t.Errorf("%s: it was held %d times, want %d; removed %v", name, taken, c.want, removed)
		}
	}
}
