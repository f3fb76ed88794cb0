package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestStoreKeepsEnvironmentsApart(t *testing.T) {
	s := store{dir: t.TempDir()}
	keys := []key{{"hello", "production"}, {"hello", "staging"}, {"other", "production"}, {"odd app", "a%2fb"}}
	for i, k := range keys {
		if err := s.save(k, document{App: k.app, Environment: k.name, Port: 20000 + i}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.keys()
	if err != nil || len(found) != len(keys) {
		t.Fatalf("found %v, %v", found, err)
	}
	for i, k := range keys {
		doc, secrets, err := s.load(k)
		if err != nil || doc.Port != 20000+i || len(secrets) > 0 {
			t.Errorf("%s is %+v with %d secrets, %v", k, doc, len(secrets), err)
		}
	}
	if err := s.remove(keys[0]); err != nil {
		t.Fatal(err)
	}
	if found, err = s.keys(); err != nil || len(found) != len(keys)-1 {
		t.Errorf("after one was removed: %v, %v", found, err)
	}
}

func TestStoreRefusesAFileOfAnotherEnvironment(t *testing.T) {
	s, k := store{dir: t.TempDir()}, key{"hello", "production"}
	if err := s.save(k, document{App: "hello", Environment: "staging"}); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.load(k)
	if err == nil || !strings.Contains(err.Error(), s.statePath(k)) || deploy.HintOf(err) == "" {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
}

func TestSecretsAreLearntOnce(t *testing.T) {
	k := key{"hello", "production"}
	r := deploy.Revision{Secrets: []deploy.Secret{deploy.KnownSecret("A", "1", ""), deploy.KnownSecret("B", "1", "")}}
	if _, err := learn(k, map[string]string{"A@1": "a"}, r, nil); err == nil || !strings.Contains(err.Error(), "secret B") {
		t.Errorf("without the value of B: %v", err)
	}
	known, err := learn(k, map[string]string{"A@1": "a"}, r, map[string]string{"B": "b", "C": "of another"})
	if err != nil || len(known) != 2 || known["B@1"] != "b" {
		t.Errorf("%d values, %v", len(known), err)
	}
	again, err := learn(k, known, r, map[string]string{"A": "a"})
	if err != nil || len(again) != 2 {
		t.Errorf("%d values, %v", len(again), err)
	}
	kept := needed(known, []deploy.Revision{{Secrets: r.Secrets[:1]}})
	if len(kept) != 1 || kept["A@1"] != "a" {
		t.Errorf("%d values are kept", len(kept))
	}
}

func TestReplaceLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := replace(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replace(filepath.Join(dir, "folder"), []byte("two")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := os.WriteFile(filepath.Join(dir, temporary+"17"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeLeftovers(dir); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

func TestTreesWithoutWritePermissionAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(filepath.Join(dir, "a", "b"), 0o500), os.Chmod(filepath.Join(dir, "a"), 0o500)); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestALongLogIsTurnedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.log")
	log, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for i, line := range []string{"one\n", "two\n", "three\n", "four\n"} {
		if _, err := log.WriteString(line); err != nil {
			t.Fatal(err)
		}
		turnOver(path, 10)
		want := []string{"one\n", "one\ntwo\n", "", "four\n"}[i]
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("after %q the log is %q, %v", line, got, err)
		}
	}
	if got, err := os.ReadFile(path + ".1"); err != nil || string(got) != "one\ntwo\nthree\n" {
		t.Errorf("put aside was %q, %v", got, err)
	}
	turnOver(filepath.Join(t.TempDir(), "none"), 0) // is fine
}
