package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
)

var update = flag.Bool("update", false, "write the golden files")

// rules are like those of the real program, with a target more that cannot do
// everything.
func rules() config.Rules {
	return config.Rules{
		Expression: func(expr string) error {
			if strings.Contains(expr, "stauts") {
				return deploy.Usage("the variables are status, body, headers and duration", "column 1: stauts is not known")
			}
			return nil
		},
		Targets: map[string]config.Target{
			"sandbox":    {Strategies: deploy.Kinds},
			"kubernetes": {Strategies: deploy.Kinds},
			"kiosk":      {Strategies: []deploy.Kind{deploy.Recreate, deploy.Rolling}},
		},
	}
}

func files(t testing.TB, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("no files match %s: %v", pattern, err)
	}
	return list
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

// held finds errors without a place or a way out, and out of order.
func held(t *testing.T, path string, all config.Errors) {
	t.Helper()
	before := &config.Error{}
	for _, e := range all {
		if e.File != path || e.Line < 1 || e.Column < 1 {
			t.Errorf("%s: no place", e)
		}
		if e.Message == "" || e.Hint == "" {
			t.Errorf("%s: does not say what is wrong and what to do", e)
		}
		if e.Line < before.Line || e.Line == before.Line && e.Column < before.Column {
			t.Errorf("%s: comes after line %d, column %d", e, before.Line, before.Column)
		}
		before = e
	}
}

// TestWrong holds every mistake of testdata/err against the complete message.
func TestWrong(t *testing.T) {
	for _, path := range files(t, "testdata/err/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := config.Load(path, rules())
			if err == nil {
				t.Fatalf("Load succeeded: %+v", f.App)
			}
			if !deploy.IsUsage(err) {
				t.Errorf("%v is not a usage error", err)
			}
			var all config.Errors
			if !errors.As(err, &all) {
				t.Fatalf("%T holds no Errors", err)
			}
			held(t, path, all)
			golden(t, strings.TrimSuffix(path, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// TestRight holds every file of testdata/ok against the App that it makes.
func TestRight(t *testing.T) {
	for _, path := range files(t, "testdata/ok/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := config.Load(path, rules())
			if err != nil {
				t.Fatalf("Load:\n%v", err)
			}
			app, err := json.MarshalIndent(f.App, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".json", string(app)+"\n")
		})
	}
}
