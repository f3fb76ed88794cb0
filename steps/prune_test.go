package steps

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
)

// now is when the rules below are asked.
var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// shelf is a repository: version, digest, age in days (-1: not known), parts.
func shelf(lines ...string) []registry.Listed {
	var all []registry.Listed
	for _, line := range lines {
		words := strings.Fields(line)
		l := registry.Listed{Version: words[0], Digest: words[1], Parts: words[3:]}
		if words[2] != "?" {
			age, err := time.ParseDuration(words[2])
			if err != nil {
				panic(err)
			}
			l.Created = now.Add(-age)
		}
		all = append(all, l)
	}
	return all
}

// revision is one of an image.
func revision(version, digest string) deploy.Revision {
	return deploy.NewRevision("hello", deploy.Environment{Name: "production"}, deploy.Image{Version: version, Digest: digest}, nil)
}

func TestWhatIsPruned(t *testing.T) {
	week := deploy.Prune{Keep: 1, OlderThan: 7 * 24 * time.Hour}
	for name, test := range map[string]struct {
		shelf  []registry.Listed
		rule   deploy.Prune
		state  deploy.State
		gone   []string
		stay   map[string]string
		others int
	}{
		"old pre-releases alone": {
			shelf: shelf("1.0.0 a 9000h", "1.1.0-rc.1 b 2000h", "1.1.0-rc.2 c 1000h", "latest d 9000h", "v1.0.0 e 9000h", "0.0.0-pr.12.g1a2b3c4 f 500h"),
			rule:  week, gone: []string{"1.1.0-rc.2", "1.1.0-rc.1"}, others: 3,
			stay: map[string]string{"0.0.0-pr.12.g1a2b3c4": "it is one of the 1 newest"},
		},
		"by a pattern, with stable ones": {
			shelf:  shelf("1.0.0 a 9000h", "1.1.0 b 2000h", "2.0.0 c 1000h", "1.2.0-rc.1 d 9000h"),
			rule:   deploy.Prune{OlderThan: time.Hour, Pattern: "1.*", Stable: true},
			gone:   []string{"1.1.0", "1.2.0-rc.1", "1.0.0"},
			others: 1,
		},
		"not what is young, or does not tell": {
			shelf: shelf("1.0.0-rc.1 a 100h", "1.0.0-rc.2 b ?", "1.0.0-rc.3 c 20h"),
			rule:  deploy.Prune{OlderThan: 7 * 24 * time.Hour},
			stay:  map[string]string{"1.0.0-rc.1": "it is 4 days old", "1.0.0-rc.2": "it does not say how old it is", "1.0.0-rc.3": "it is 20h0m0s old"},
		},
		"not what environments need": {
			shelf: shelf("1.0.0-rc.1 a 1001h", "1.0.0-rc.2 b 1002h", "1.0.0-rc.3 c 1003h", "1.0.0-rc.4 moved 1004h", "1.0.0-rc.5 e 1005h", "1.0.0-rc.6 f 1006h"),
			rule:  deploy.Prune{OlderThan: time.Hour},
			state: deploy.State{
				Live: new(revision("1.0.0-rc.1", "a")), Candidate: new(revision("1.0.0-rc.2", "b")),
				History: []deploy.Record{
					{Outcome: deploy.Promoted, Previous: revision("1.0.0-rc.4", "d"), Candidate: revision("1.0.0-rc.3", "c")},
					{Outcome: deploy.Reverted, Candidate: revision("1.0.0-rc.6", "f")},
				},
			},
			gone: []string{"1.0.0-rc.5", "1.0.0-rc.6"},
			stay: map[string]string{
				"1.0.0-rc.1": "production runs it", "1.0.0-rc.2": "it is being brought to production",
				"1.0.0-rc.3": "production can go back to it", "1.0.0-rc.4": "production can go back to it",
			},
		},
		"not what an unfinished rollout needs": {
			shelf: shelf("1.0.0-rc.1 a 1001h", "1.0.0-rc.2 b 1002h"),
			rule:  deploy.Prune{OlderThan: time.Hour},
			state: deploy.State{Record: deploy.Record{Phase: deploy.PhaseShifting, Previous: revision("1.0.0-rc.1", "a"), Candidate: revision("1.0.0-rc.2", "b")}},
			stay:  map[string]string{"1.0.0-rc.1": "production can go back to it", "1.0.0-rc.2": "it is being brought to production"},
		},
		"not what another tag names": {
			shelf: shelf("1.0.0 a 9000h", "1.0.0-rc.1 a 9000h", "1.0.0-rc.2 b 9000h", "nightly b 9000h", "1.0.0-rc.3 c 9000h", "1.0.0-rc.4 c 1h"),
			rule:  deploy.Prune{OlderThan: 2 * time.Hour}, others: 2,
			stay: map[string]string{
				"1.0.0-rc.1": "1.0.0 names it, too", "1.0.0-rc.2": "nightly names it, too",
				"1.0.0-rc.3": "1.0.0-rc.4 names it, too", "1.0.0-rc.4": "it is 1h0m0s old",
			},
		},
		"not what an index that stays is made of": {
			shelf: shelf("1.0.0 index 9000h amd arm", "1.0.0-rc.amd amd 9000h", "1.0.0-rc.old old 9000h"),
			rule:  deploy.Prune{OlderThan: time.Hour}, others: 1, gone: []string{"1.0.0-rc.old"},
			stay: map[string]string{"1.0.0-rc.amd": "1.0.0 is made of it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			used := Used{digests: map[string][]Use{}, versions: map[string][]Use{}}
			used.add("production", test.state)
			gone, stay, others := sift(test.shelf, test.rule, used, now)
			var names []string
			for _, v := range gone {
				names = append(names, v.Version)
			}
			var reasons map[string]string
			for _, v := range stay {
				if reasons == nil {
					reasons = map[string]string{}
				}
				reasons[v.Version] = v.why
			}
			if diff := cmp.Diff(test.gone, names); diff != "" {
				t.Errorf("gone: %s", diff)
			}
			if diff := cmp.Diff(test.stay, reasons); diff != "" {
				t.Errorf("stay: %s", diff)
			}
			if others != test.others {
				t.Errorf("the rule is not about %d", others)
			}
		})
	}
}

// unreadable is an environment that does not tell what it runs.
type unreadable struct{ place }

func (unreadable) State(context.Context) (deploy.State, error) {
	return deploy.State{}, context.DeadlineExceeded
}

// What cannot be read may need anything: nothing is removed then.
func TestNothingIsPrunedUnseen(t *testing.T) {
	w, _, _ := previews{}.work(t, 1, "", nil)
	w.App.Environments = []deploy.Environment{{Name: "production"}}
	w.Target = func(context.Context, string, deploy.Environment) (deploy.Target, error) { return unreadable{}, nil }
	if _, err := Prune(w.Request).Run(t.Context(), w); err == nil || !strings.Contains(err.Error(), "read production") {
		t.Errorf("got %v", err)
	}
}

// Where the registry refuses, the forge is asked, if the image is in its own.
func TestPruneByTheForge(t *testing.T) {
	for name, c := range map[string]struct {
		forge error
		want  bool
	}{"its own": {nil, true}, "another": {errors.ErrUnsupported, false}, "refused, too": {context.Canceled, false}} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					w.WriteHeader(http.StatusMethodNotAllowed)
				}
			}))
			defer server.Close()
			asked := ""
			w := NewWork(Request{}, Tools{Images: &registry.Client{}, RemovePackage: func(_ context.Context, _, digest string) error {
				asked = digest
				return c.forge
			}})
			digest := "sha256:" + strings.Repeat("a", 64)
			err := w.delete(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/acme/hello", digest, nil)
			if (err == nil) != c.want || asked != digest {
				t.Errorf("%v, asked for %q", err, asked)
			}
			if is, ok := errors.AsType[*registry.Undeletable](err); ok != errors.Is(c.forge, errors.ErrUnsupported) {
				t.Errorf("got %v", is)
			}
		})
	}
}
