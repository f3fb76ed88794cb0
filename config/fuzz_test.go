package config_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
)

// FuzzParse holds every input to an App that can be released, or to mistakes
// that can be read and found.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/ok/*.yaml", "testdata/err/*.yaml"} {
		for _, path := range files(f, pattern) {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add(config.Starter("hello"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := config.Parse("slipway.yaml", data, rules())
		if err == nil {
			releasable(t, file.App)
			return
		}
		if !deploy.IsUsage(err) {
			t.Errorf("%v is not a usage error", err)
		}
		var all config.Errors
		if !errors.As(err, &all) {
			if len(data) <= config.MaxSize {
				t.Errorf("%v has no place", err)
			}
			return
		}
		held(t, "slipway.yaml", all)
		lines := strings.Count(string(data), "\n") + 1
		for _, e := range all {
			if e.Line > lines {
				t.Errorf("%s: there are %d lines", e, lines)
			}
			printable(t, e)
		}
	})
}

// releasable holds an App to what a release takes for granted.
func releasable(t *testing.T, app deploy.App) {
	t.Helper()
	if app.Name == "" || len(app.Environments) == 0 {
		t.Errorf("%+v has no name or no environments", app)
	}
	b := app.Build
	if b.Dockerfile == nil && b.Image == "" && b.Archive == "" && b.Base == "" && (len(b.Files) == 0 || len(b.Entrypoint) == 0) {
		t.Errorf("%+v could not run", app.Build)
	}
	if l := app.Login; l != nil && (app.Repository == "" || l.Audience == "" || l.User == "" || !strings.HasPrefix(l.Exchange, "http")) {
		t.Errorf("%+v logs in to nothing at %q", l, app.Repository)
	}
	passed := map[string]bool{"": true}
	for _, e := range app.Environments {
		if !passed[e.After] {
			t.Errorf("%s comes before %s", e.Name, e.After)
		}
		passed[e.Name] = true
		if _, taken := deploy.PullRequestOf(e.Name); taken || e.Name == deploy.PreviewName {
			t.Errorf("%s is released to, though it belongs to previews", e.Name)
		}
		complete(t, e)
	}
	if p := app.Preview; p != nil {
		if e := p.Environment; e.Name != deploy.PreviewName || e.After != "" || e.Target.Port != 0 || p.TTL < time.Minute || p.Limit < 1 {
			t.Errorf("%+v is no pattern of previews", p)
		}
		complete(t, p.Environment)
	}
}

func complete(t *testing.T, e deploy.Environment) {
	t.Helper()
	s := e.Service
	if e.Name == "" || e.Target.Kind == "" || s.Port < 1 || s.Replicas < 1 || s.StartTimeout <= 0 || s.Drain < 0 {
		t.Errorf("%+v is not complete", e)
	}
	for _, name := range s.Secrets {
		if _, plain := s.Env[name]; plain {
			t.Errorf("%s is a secret and a variable", name)
		}
	}
	for _, c := range e.Checks {
		if (c.Get == "") == (len(c.Run) == 0) || c.Attempts < 1 || c.Timeout <= 0 {
			t.Errorf("%+v asks nothing, or two things", c)
		}
	}
	ascending(t, e.Strategy)
}

func ascending(t *testing.T, s deploy.Strategy) {
	t.Helper()
	if s.Kind != deploy.Canary {
		return
	}
	before := deploy.Percent(-1)
	for _, at := range s.Approve {
		if at <= before || at != 0 && !slices.Contains(s.Steps, at) || at == 100 {
			t.Errorf("%v asks a person at %v", s.Steps, s.Approve)
		}
		before = at
	}
	before = 0
	for _, step := range s.Steps {
		if step <= before {
			t.Errorf("%v does not ascend", s.Steps)
		}
		before = step
	}
	if before != 100 {
		t.Errorf("%v does not end at 100%%", s.Steps)
	}
}

// printable holds a mistake to what a terminal shows as it is.
func printable(t *testing.T, e *config.Error) {
	t.Helper()
	text := e.Error()
	if !utf8.ValidString(text) {
		t.Errorf("%q is not UTF-8", text)
	}
	for _, c := range text {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Errorf("%q holds %U", text, c)
		}
	}
	if strings.Contains(e.Message, "\n") || strings.Contains(e.Hint, "\n") {
		t.Errorf("%q has a message or hint of several lines", text)
	}
	if n := strings.Count(e.Snippet, "\n"); e.Snippet != "" && n != 1 {
		t.Errorf("%q has a snippet of %d lines", text, n+1)
	}
}
