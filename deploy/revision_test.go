package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

const value = "correct-horse-battery"

func environment() deploy.Environment {
	return deploy.Environment{Name: "production", Service: deploy.Service{
		Port: 8080, Health: "/healthz", Replicas: 2, Env: map[string]string{"A": "1", "B": "2"},
		StartTimeout: time.Minute, Drain: time.Second,
	}}
}

var image = deploy.Image{Repository: "ghcr.io/acme/hello", Digest: "sha256:abc", Version: "1.0.0"}

func revisionWith(change func(*deploy.Environment, *deploy.Image, *[]deploy.Secret)) deploy.Revision {
	env, img := environment(), image
	env.Service.Env = maps.Clone(env.Service.Env)
	secrets := []deploy.Secret{
		deploy.NewSecret("hello", "production", "KEY", value), deploy.NewSecret("hello", "production", "OTHER", "x"),
	}
	if change != nil {
		change(&env, &img, &secrets)
	}
	return deploy.NewRevision("hello", env, img, secrets)
}

// The same content is the same revision, and whatever changes how a version
// behaves is another.
func TestIdentityIsContent(t *testing.T) {
	type change = func(*deploy.Environment, *deploy.Image, *[]deploy.Secret)
	base := revisionWith(nil).ID
	same := map[string]change{
		"nothing":          nil,
		"another registry": func(_ *deploy.Environment, i *deploy.Image, _ *[]deploy.Secret) { i.Repository = "other/hello" },
		"another name for the digest": func(_ *deploy.Environment, i *deploy.Image, _ *[]deploy.Secret) {
			i.Version = "1.0.1"
		},
		"another strategy": func(e *deploy.Environment, _ *deploy.Image, _ *[]deploy.Secret) {
			e.Strategy = deploy.DefaultStrategy()
		},
		"secrets in another order": func(_ *deploy.Environment, _ *deploy.Image, s *[]deploy.Secret) {
			(*s)[0], (*s)[1] = (*s)[1], (*s)[0]
		},
	}
	for name, c := range same {
		if got := revisionWith(c).ID; got != base {
			t.Errorf("%s: another revision", name)
		}
	}
	other := map[string]change{
		"digest":   func(_ *deploy.Environment, i *deploy.Image, _ *[]deploy.Secret) { i.Digest = "sha256:def" },
		"replicas": func(e *deploy.Environment, _ *deploy.Image, _ *[]deploy.Secret) { e.Service.Replicas = 3 },
		"env":      func(e *deploy.Environment, _ *deploy.Image, _ *[]deploy.Secret) { e.Service.Env["A"] = "2" },
		"health":   func(e *deploy.Environment, _ *deploy.Image, _ *[]deploy.Secret) { e.Service.Health = "/" },
		"drain":    func(e *deploy.Environment, _ *deploy.Image, _ *[]deploy.Secret) { e.Service.Drain = time.Hour },
		"secret value": func(_ *deploy.Environment, _ *deploy.Image, s *[]deploy.Secret) {
			(*s)[0] = deploy.NewSecret("hello", "production", "KEY", "new")
		},
		"no secrets": func(_ *deploy.Environment, _ *deploy.Image, s *[]deploy.Secret) { *s = nil },
	}
	seen := map[string]string{base: "base"}
	for name, c := range other {
		id := revisionWith(c).ID
		if was, dup := seen[id]; dup {
			t.Errorf("%s has the identity of %s", name, was)
		}
		seen[id] = name
	}
}

// A revision that was read back from JSON, without secret values, is the same.
func TestRevisionSurvivesJSON(t *testing.T) {
	r := revisionWith(nil)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back deploy.Revision
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.ID != r.ID || back.Secrets[0].Version != r.Secrets[0].Version || back.Secrets[0].Reveal() != "" {
		t.Errorf("came back as %+v", back)
	}
}

func TestSecretNeverShows(t *testing.T) {
	s := deploy.NewSecret("hello", "production", "KEY", value)
	if s.Reveal() != value {
		t.Fatal("the value is lost")
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", []deploy.Secret{s})
		fmt.Fprintf(&out, verb+"\n", revisionWith(nil))
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "secret", s, "revision", revisionWith(nil))
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "secret", s, "revision", revisionWith(nil))
	if err := json.NewEncoder(&out).Encode(revisionWith(nil)); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) {
		t.Errorf("the value shows:\n%s", text)
	}
}

// The version depends on value, name, app and environment, so that nobody can
// see that two places share a secret.
func TestSecretVersions(t *testing.T) {
	base := deploy.NewSecret("hello", "production", "KEY", value).Version
	if again := deploy.NewSecret("hello", "production", "KEY", value).Version; again != base {
		t.Error("the same value has two versions")
	}
	for _, s := range []deploy.Secret{
		deploy.NewSecret("hello", "production", "KEY", "other"), deploy.NewSecret("hello", "production", "KEY2", value),
		deploy.NewSecret("hello", "staging", "KEY", value), deploy.NewSecret("bye", "production", "KEY", value),
	} {
		if s.Version == base {
			t.Errorf("%s has the same version", s)
		}
	}
}

func TestTrafficSince(t *testing.T) {
	h := func(counts ...uint64) deploy.Histogram { return deploy.Histogram{Le: []float64{0.1}, Counts: counts} }
	before := deploy.Traffic{Requests: 10, Errors: 2, Lost: 1, Latency: h(8, 2)}
	now := deploy.Traffic{Requests: 15, Errors: 3, Lost: 1, Latency: h(11, 4)}
	d := now.Since(before)
	if d.Requests != 5 || d.Errors != 1 || d.Lost != 0 || d.Latency.Counts[0] != 3 || d.Latency.Counts[1] != 2 {
		t.Errorf("%+v", d)
	}
	if now.Latency.Counts[0] != 11 {
		t.Error("the reading itself was changed")
	}
	if d := before.Since(now); d.Requests != 10 {
		t.Errorf("after a restart the count begins anew: %+v", d)
	}
	if got := now.ErrorShare(); got != 20 {
		t.Errorf("error share %s", got)
	}
}

func TestParsePercent(t *testing.T) {
	for in, want := range map[string]deploy.Percent{"10%": 10, "10": 10, " 0.5 % ": 0.5, "100%": 100, "0%": 0} {
		if got, err := deploy.ParsePercent(in); err != nil || got != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "%", "ten", "101%", "-1%", "NaN", "1e9", "10%%"} {
		if got, err := deploy.ParsePercent(in); err == nil {
			t.Errorf("%q: %s", in, got)
		}
	}
	if got := deploy.Percent(12.5).String(); got != "12.5%" {
		t.Error(got)
	}
}

func TestOutcomesHaveExitCodesOfTheirOwn(t *testing.T) {
	want := map[deploy.Outcome]int{
		deploy.Promoted: 0, deploy.Unchanged: 0, deploy.Failed: 1, deploy.Reverted: 3, deploy.Held: 4, deploy.Unknown: 5, "": 5,
	}
	for o, code := range want {
		if got := o.ExitCode(); got != code {
			t.Errorf("%q exits with %d, want %d", o, got, code)
		}
	}
}

func TestFaults(t *testing.T) {
	inner := errors.New("no such file")
	err := fmt.Errorf("read: %w", deploy.Hinted(inner, "look in %s", "there"))
	if !errors.Is(err, inner) || deploy.HintOf(err) != "look in there" || deploy.IsUsage(err) {
		t.Errorf("%v, hint %q", err, deploy.HintOf(err))
	}
	outer := deploy.Hinted(err, "do this first")
	if deploy.HintOf(outer) != "do this first" {
		t.Errorf("the outermost hint counts: %q", deploy.HintOf(outer))
	}
	usage := fmt.Errorf("flags: %w", deploy.Usage("use 1", "%d is wrong", 2))
	if !deploy.IsUsage(usage) || usage.Error() != "flags: 2 is wrong" || deploy.HintOf(usage) != "use 1" {
		t.Errorf("%v, hint %q", usage, deploy.HintOf(usage))
	}
	if deploy.Hinted(nil, "x") != nil || deploy.HintOf(nil) != "" || deploy.IsUsage(inner) {
		t.Error("nothing is something")
	}
	joined := errors.Join(inner, deploy.Usage("second", "b"))
	if !deploy.IsUsage(joined) || deploy.HintOf(joined) != "second" {
		t.Errorf("joined: %q", deploy.HintOf(joined))
	}
}
