package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
	client "github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/version"
)

// registries are the servers that tags are moved in: one in this process, and
// Debian's where it is installed.
var registries = map[string]func(testing.TB) string{
	"in process": func(tb testing.TB) string {
		s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		tb.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	},
	"docker-registry": dockerRegistry,
}

// dockerRegistry starts the one of that name in PATH, which ends with the test.
func dockerRegistry(tb testing.TB) string {
	tb.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		tb.Skip("docker-registry is not in PATH")
	}
	for range 5 { // somebody else may be quicker to take the port
		if host, ok := serveAt(tb, program, freeAddress(tb)); ok {
			return host
		}
	}
	tb.Fatal("docker-registry ends as soon as it is started")
	return ""
}

// freeAddress is one on loopback that nobody listens at.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// serveAt starts a registry at an address, and waits until it answers; false
// where it has ended instead.
func serveAt(tb testing.TB, program, host string) (string, bool) {
	tb.Helper()
	dir := tb.TempDir()
	config := filepath.Join(dir, "config.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", dir, host)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, "serve", config)
	if err := server.Start(); err != nil {
		cancel()
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Wait()
	}()
	tb.Cleanup(func() {
		cancel()
		<-ended
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		select {
		case <-ended:
			return "", false
		case <-time.After(20 * time.Millisecond):
		}
		if answer, err := http.Get("http://" + host + "/v2/"); err == nil {
			_ = answer.Body.Close()
			return host, true
		}
	}
	tb.Fatalf("docker-registry does not answer at %s", host)
	return "", false
}

// shop is an app with a registry and an environment, to which runs come.
type shop struct {
	testing.TB
	app        deploy.App
	repository string
	mu         sync.Mutex
	history    []deploy.Record
}

func newShop(tb testing.TB, host string) *shop {
	environments := []deploy.Environment{{Name: "staging"}, {Name: "production", After: "staging"}}
	app := deploy.App{Name: "hello", Repository: host + "/acme/hello", Environments: environments, Tags: deploy.FloatingTags}
	return &shop{TB: tb, app: app, repository: app.Repository}
}

// window is the environment as it can be read.
type window struct {
	place
	*shop
}

func (w window) String() string { return w.name }

func (w window) State(context.Context) (deploy.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return deploy.State{History: slices.Clone(w.history)}, nil
}

// publish pushes an image that says the version of itself, or says nothing, to a
// tag.
func (s *shop) publish(tag, says string) deploy.Image {
	s.Helper()
	config := v1.Config{Env: []string{"TAG=" + tag}}
	if says != "" {
		config.Labels = map[string]string{"org.opencontainers.image.version": says}
	}
	img, err := mutate.Config(empty.Image, config)
	if err != nil {
		s.Fatal(err)
	}
	ref, err := name.ParseReference(s.repository + ":" + deploy.TagOf(tag))
	if err != nil {
		s.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		s.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		s.Fatal(err)
	}
	return deploy.Image{Repository: s.repository, Digest: digest.String(), Version: says}
}

// promoted notes that a version has come to production.
func (s *shop) promoted(image deploy.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	image.Repository = elsewhere
	s.history = append(s.history, deploy.Record{Operation: "release", Outcome: deploy.Promoted, Candidate: deploy.Revision{Image: image}})
}

// run is a release of an image that has come to its end.
func (s *shop) run(image deploy.Image, transport http.RoundTripper) (*Work, *story) {
	told := &story{}
	// docker-registry answers 500 where a tag is read or written while another write
	// of it is half done, so that one more try may meet the next.
	retry := remote.Backoff{Duration: 5 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 8}
	w := NewWork(Request{App: s.app, Environments: s.app.Environments, Version: image.Version}, Tools{
		Images: &client.Client{Transport: transport, Retry: retry}, Reporter: told,
	})
	w.Image = image
	w.Image.Repository = elsewhere // as one that is promoted from there
	w.Targets["production"] = window{place{name: "production"}, s}
	return w, told
}

// elsewhere is where production pulls from.
const elsewhere = "production.example.com/acme/hello"

// release publishes a version, promotes it and moves the tags.
func (s *shop) release(v string) *story {
	s.Helper()
	image := s.publish(v, v)
	s.promoted(image)
	w, told := s.run(image, nil)
	if err := moveTags(s.Context(), w); err != nil {
		s.Error(err)
	}
	return told
}

// floating are the tags that move, with the versions of what they name.
func (s *shop) floating() map[string]string {
	s.Helper()
	c := &client.Client{}
	tags, err := c.Versions(s.Context(), s.repository)
	if err != nil {
		s.Fatal(err)
	}
	found := map[string]string{}
	for _, tag := range tags {
		if version.Exact(tag) {
			continue
		}
		d, err := c.Describe(s.Context(), s.repository, tag)
		if err != nil {
			s.Fatal(err)
		}
		found[tag] = d.Version
	}
	return found
}

func (s *shop) mustFloat(want map[string]string) {
	s.Helper()
	if diff := cmp.Diff(want, s.floating()); diff != "" {
		s.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestTagsFollowReleases(t *testing.T) {
	for where, start := range registries {
		t.Run(where, func(t *testing.T) {
			s := newShop(t, start(t))
			want := map[string]string{}
			for _, step := range []struct {
				release string
				moves   map[string]string
			}{
				{"1.4.2", map[string]string{"1.4": "1.4.2", "1": "1.4.2", "latest": "1.4.2"}},
				{"1.3.9", map[string]string{"1.3": "1.3.9"}}, // an old branch is patched
				{"2.0.0-rc.1", nil},
				{"2.0.0", map[string]string{"2.0": "2.0.0", "2": "2.0.0", "latest": "2.0.0"}},
				{"1.4.10", map[string]string{"1.4": "1.4.10", "1": "1.4.10"}},
				{"1.4.9", nil}, // late
				{"0.9.0", map[string]string{"0.9": "0.9.0"}},
				{"2.0.0+build.2", map[string]string{"2.0": "2.0.0+build.2", "2": "2.0.0+build.2", "latest": "2.0.0+build.2"}},
				{"2.0.0", nil}, // again
			} {
				told := s.release(step.release)
				for tag, v := range step.moves {
					want[tag] = v
				}
				if diff := cmp.Diff(want, s.floating()); diff != "" {
					t.Fatalf("after %s (-want +got):\n%s", step.release, diff)
				}
				moved := map[string]string{}
				for _, e := range told.events {
					if e.Kind == deploy.Warning {
						t.Errorf("after %s: %s", step.release, e.Message)
					}
					if e.Tag != nil && e.Tag.Moved {
						moved[e.Tag.Name] = e.Tag.Version
					}
				}
				if len(moved)+len(step.moves) > 0 && !cmp.Equal(step.moves, moved) {
					t.Errorf("after %s, it was told that %v moved, and not %v", step.release, moved, step.moves)
				}
			}
		})
	}
}

// Many runs at once, in any order, leave every tag at the highest version.
func TestTagsOfManyRunsAtOnce(t *testing.T) {
	for where, start := range registries {
		t.Run(where, func(t *testing.T) {
			s, rng := newShop(t, start(t)), rand.New(rand.NewPCG(4, 2)) // to be repeatable
			for round := range 4 {
				var images []deploy.Image
				for patch := range 3 {
					for _, line := range []string{"1.3", "1.4"} {
						images = append(images, s.publish(fmt.Sprintf("%s.%d", line, 3*round+patch), fmt.Sprintf("%s.%d", line, 3*round+patch)))
					}
				}
				rng.Shuffle(len(images), func(i, j int) { images[i], images[j] = images[j], images[i] })
				var all sync.WaitGroup
				for _, image := range images {
					w, told := s.run(image, nil)
					all.Go(func() {
						s.promoted(image)
						if err := moveTags(t.Context(), w); err != nil {
							t.Error(err)
						}
						for _, e := range told.events {
							if e.Kind == deploy.Warning {
								t.Logf("%s: %s", image.Version, e.Message)
							}
						}
					})
				}
				all.Wait()
				last := 3*round + 2
				highest := fmt.Sprintf("1.4.%d", last)
				s.mustFloat(map[string]string{"1.3": fmt.Sprintf("1.3.%d", last), "1.4": highest, "1": highest, "latest": highest})
			}
		})
	}
}

// gate holds back what a run writes to one tag.
type gate struct {
	tag           string
	reached, open chan struct{}
	once          sync.Once
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/"+g.tag) {
		g.once.Do(func() {
			close(g.reached)
			<-g.open
		})
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A run has looked at the tag and is about to write; meanwhile another begins
// and ends. What the first then writes is too old, and it puts that right.
func TestTagsOfARunThatWritesTooLate(t *testing.T) {
	for where, start := range registries {
		t.Run(where, func(t *testing.T) {
			for _, tag := range []string{"1.4", "1", "latest"} {
				s := newShop(t, start(t))
				s.release("1.4.1")
				g := &gate{tag: tag, reached: make(chan struct{}), open: make(chan struct{})}
				older := s.publish("1.4.2", "1.4.2")
				s.promoted(older)
				w, told := s.run(older, g)
				var late sync.WaitGroup
				late.Go(func() { _ = moveTags(t.Context(), w) })
				<-g.reached
				s.release("1.4.3")
				s.mustFloat(map[string]string{"1.4": "1.4.3", "1": "1.4.3", "latest": "1.4.3"})
				close(g.open)
				late.Wait()
				s.mustFloat(map[string]string{"1.4": "1.4.3", "1": "1.4.3", "latest": "1.4.3"})
				for _, e := range told.events {
					if e.Kind == deploy.Warning || e.Tag != nil && e.Tag.Version != "1.4.3" && e.Tag.Name != "1.4" && e.Tag.Name != "1" {
						t.Errorf("told: %s", e.Message)
					}
				}
			}
		})
	}
}

// A tag that holds something else is left alone, and that is said.
func TestTagsThatAreNotOurs(t *testing.T) {
	for says, warns := range map[string]string{
		"":      "that says of itself no version",
		"main":  `that says it is "main", which is no version`,
		"24.04": `that says it is "24.04", which is no version`,
		"1.4.2": "names another image of 1.4.2",
	} {
		t.Run(says, func(t *testing.T) {
			s := newShop(t, registries["in process"](t))
			foreign := s.publish("latest", says)
			told := s.release("1.4.2")
			s.mustFloat(map[string]string{"1.4": "1.4.2", "1": "1.4.2", "latest": says})
			if d, err := (&client.Client{}).Describe(t.Context(), s.repository, "latest"); err != nil || d.Digest != foreign.Digest {
				t.Errorf("latest was moved to %s, %v", d.Digest, err)
			}
			var warnings []deploy.Event
			for _, e := range told.events {
				if e.Kind == deploy.Warning {
					warnings = append(warnings, e)
				}
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0].Message, warns) || !strings.Contains(warnings[0].Message, "the tag latest was not moved to 1.4.2") ||
				!strings.Contains(warnings[0].Message, foreign.Digest) || !strings.Contains(warnings[0].Hint, "remove the tag") {
				t.Errorf("warned: %+v", warnings)
			}
		})
	}
}

// A release brings tags along that a run which was killed has left behind, but
// none of a version that was rolled back from or that the registry has lost.
func TestTagsOfRunsBefore(t *testing.T) {
	s := newShop(t, registries["in process"](t))
	s.promoted(s.publish("1.4.3", "1.4.3"))
	s.promoted(deploy.Image{Repository: s.repository, Digest: "sha256:" + strings.Repeat("0", 64), Version: "1.4.4"})
	bad := s.publish("1.4.5", "1.4.5")
	s.promoted(bad)
	s.mu.Lock()
	s.history = append(
		s.history,
		deploy.Record{Operation: "rollback", Outcome: deploy.Promoted, Previous: deploy.Revision{Image: bad}, Candidate: s.history[0].Candidate},
		deploy.Record{Operation: "release", Outcome: deploy.Reverted, Candidate: deploy.Revision{Image: s.publish("1.4.6", "1.4.6")}},
	)
	s.mu.Unlock()
	s.release("1.4.2")
	s.mustFloat(map[string]string{"1.4": "1.4.3", "1": "1.4.3", "latest": "1.4.3"})
}

// An image that was built elsewhere says no version, or that of its base. It is
// known by what it was released as, or else by the tags of versions.
func TestTagsOfImagesFromElsewhere(t *testing.T) {
	s := newShop(t, registries["in process"](t))
	given := func(v, says string) deploy.Image {
		image := s.publish(v, says)
		image.Version = v
		return image
	}
	for _, image := range []deploy.Image{given("1.4.2", ""), given("1.4.3", "24.04"), given("1.4.4", "9.9.9")} {
		s.promoted(image)
		s.follow(image)
	}
	older, newer := given("1.4.1", ""), given("1.4.5", "")
	s.follow(newer)
	s.history = nil // dropped
	s.follow(older)
	for _, tag := range []string{"1.4", "1", "latest"} {
		if got, err := (&client.Client{}).Resolve(t.Context(), s.repository, tag); err != nil || got.Digest != newer.Digest {
			t.Errorf("%s is %s, %v", tag, got.Digest, err)
		}
	}
}

// follow moves the tags to an image, without a word of warning.
func (s *shop) follow(image deploy.Image) {
	s.Helper()
	w, told := s.run(image, nil)
	if err := moveTags(s.Context(), w); err != nil {
		s.Error(err)
	}
	for _, e := range told.events {
		if e.Kind == deploy.Warning {
			s.Errorf("of %s: %s", image.Version, e.Message)
		}
	}
}

// What was released stays so, whatever becomes of the tags.
func TestTagsWithoutARegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	s := newShop(t, strings.TrimPrefix(server.URL, "http://"))
	image := s.publish("1.4.2", "1.4.2")
	server.Close()
	w, told := s.run(image, nil)
	p := Pipeline{{Name: "move the tags", Run: moveTags, Afterwards: true}}
	if err := p.walk(t.Context(), w); err != nil {
		t.Errorf("got %v", err)
	}
	warnings := slices.DeleteFunc(told.events, func(e deploy.Event) bool { return e.Kind != deploy.Warning })
	if len(warnings) != 3 {
		t.Errorf("of three tags: %+v", warnings)
	}
}

// A job that is cancelled once everything is released moves its tags all the
// same.
func TestTagsOfACancelledRun(t *testing.T) {
	s := newShop(t, registries["in process"](t))
	w, told := s.run(s.publish("1.4.2", "1.4.2"), nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the job was cancelled"))
	p := Pipeline{{Name: "move the tags", Run: moveTags, Afterwards: true}, {Name: "go on", Run: moveTags}}
	if err := p.walk(ctx, w); err == nil || !strings.Contains(err.Error(), "interrupted before it could go on") {
		t.Errorf("got %v", err)
	}
	s.mustFloat(map[string]string{"1.4": "1.4.2", "1": "1.4.2", "latest": "1.4.2"})
	for _, e := range told.events {
		if e.Kind == deploy.Warning {
			t.Error(e.Message)
		}
	}
}

// What settle has finished for a run that died is released, where that is the
// last environment.
func TestTagsOfWhatAnotherRunHasBrought(t *testing.T) {
	s := newShop(t, registries["in process"](t))
	image := s.publish("1.4.2", "1.4.2")
	for _, env := range []string{"staging", "production"} {
		s.mustFloat(map[string]string{})
		w, _ := s.run(deploy.Image{}, nil)
		w.MoveTagsTo(t.Context(), window{place{name: env}, s}, deploy.Revision{Environment: env, Image: image})
	}
	s.mustFloat(map[string]string{"1.4": "1.4.2", "1": "1.4.2", "latest": "1.4.2"})
}

func TestWhoMovesTags(t *testing.T) {
	s := newShop(t, "registry.example.com")
	staging, production := s.app.Environments[0], s.app.Environments[1]
	without := s.app
	without.Tags = nil
	for what, test := range map[string]struct {
		pipeline Pipeline
		want     bool
	}{
		"a release":                    {Release(Request{App: s.app, Environments: s.app.Environments}), true},
		"a release to the last":        {Release(Request{App: s.app, Environments: []deploy.Environment{production}}), true},
		"a release to another":         {Release(Request{App: s.app, Environments: []deploy.Environment{staging}}), false},
		"a release without tags":       {Release(Request{App: without, Environments: s.app.Environments}), false},
		"a promotion to the last":      {Promote(Request{App: s.app, Environments: []deploy.Environment{production}}), true},
		"a promotion to another":       {Promote(Request{App: s.app, Environments: []deploy.Environment{staging}}), false},
		"a resumed rollout":            {Resume(Request{App: s.app, Environments: []deploy.Environment{production}}), true},
		"a rollback":                   {Rollback(Request{App: s.app, Environments: []deploy.Environment{production}}), false},
		"an aborted rollout":           {Abort(Request{App: s.app, Environments: []deploy.Environment{production}}), false},
		"a build":                      {Build(Request{App: s.app}, true, false), false},
		"a build that was told to":     {Build(Request{App: s.app}, true, true), true},
		"a build that pushes nothing":  {Build(Request{App: s.app}, false, true), false},
		"a build that changes nothing": {Build(Request{App: s.app, DryRun: true}, true, true), false},
	} {
		at := slices.IndexFunc(test.pipeline, func(s Step) bool { return s.Name == "move the tags" })
		if at >= 0 != test.want || at >= 0 && (at != len(test.pipeline)-1 || !test.pipeline[at].Afterwards) {
			t.Errorf("%s moves tags at step %d of %d", what, at+1, len(test.pipeline))
		}
	}
	image := deploy.Image{Repository: s.repository, Version: "1.4.2"}
	for what, change := range map[string]func(*Work){
		"left to a newer run": func(w *Work) { w.Aside = "run 7 was there" },
		"a pre-release":       func(w *Work) { w.Version = "1.5.0-beta.1" },
	} {
		w, told := s.run(image, nil)
		change(w)
		if err := moveTags(t.Context(), w); err != nil || len(told.events) > 0 {
			t.Errorf("%s: %v, %+v", what, err, told.events)
		}
	}
}

func TestFloatingNames(t *testing.T) {
	for v, want := range map[string][]string{
		"1.4.2": {"1.4", "1", "latest"}, "0.4.2": {"0.4", "latest"}, "10.0.0+build.5": {"10.0", "10", "latest"},
	} {
		if got := floatingNames(deploy.FloatingTags, v); !slices.Equal(got, want) {
			t.Errorf("%s: %q", v, got)
		}
	}
	if got := floatingNames([]deploy.FloatingTag{deploy.TagMajor}, "0.4.2"); got != nil {
		t.Errorf("got %q", got)
	}
}
