package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
)

const least = "app: hello\nbuild: {base: busybox}\nenvironments: {staging: {target: sandbox}}\n"

// folder makes one with the files of these names.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(least), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindFindsEveryPlace(t *testing.T) {
	for _, name := range []string{"slipway.yaml", "slipway.yml", ".github/slipway.yaml", ".github/slipway.yml"} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, name, "other.yaml", ".github/workflows/slipway.yml")
			path, err := config.Find(dir)
			if err != nil {
				t.Fatal(err)
			}
			f, err := config.Load(path, rules())
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(dir, filepath.FromSlash(name)); f.Path != want {
				t.Errorf("found %s, want %s", f.Path, want)
			}
			if f.Root != dir {
				t.Errorf("paths are relative to %s, want %s", f.Root, dir)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		dir   string
		wants []string
	}{
		{"no file", folder(t), []string{"no slipway.yaml in"}},
		{"two files", folder(t, "slipway.yaml", ".github/slipway.yml"), []string{"two configurations", "slipway.yaml", ".github"}},
		{"a file as a folder", filepath.Join(folder(t, "slipway.yaml"), "slipway.yaml"), []string{"look for slipway.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, second(config.Find(c.dir)), c.wants...) })
	}
}

func second[T any](_ T, err error) error { return err }

// refused holds an error to be a usage error that says these things and what
// to do.
func refused(t *testing.T, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
		t.Errorf("%v is not a usage error with a hint", err)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}
