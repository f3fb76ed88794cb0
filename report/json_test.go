package report

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-ci/slipway/deploy"
)

func TestJSON(t *testing.T) {
	schema := compiled(t)
	for name, events := range stories() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a", "b", "report.json")
			if errs := run(t, NewJSON(JSONOptions{Path: path, Scrub: hide}), events); len(errs) > 0 {
				t.Fatal(errs)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+"/report.json", string(got))
			checkSafe(t, string(got))
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheJSONReportIsThereWhenTheRunHasEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	j := NewJSON(JSONOptions{Path: path})
	for _, e := range tellReverted() {
		if err := j.Report(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	warning := deploy.Event{Kind: deploy.Warning, Message: "could not report to somebody"}
	if errs := run(t, j, []deploy.Event{warning}); len(errs) > 0 {
		t.Fatal(errs)
	}
	after, err := os.ReadFile(path)
	if err != nil || bytes.Equal(before, after) || !strings.Contains(string(after), warning.Message) {
		t.Errorf("what came later is not in it: %v", err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestAJSONReportThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"in a file": filepath.Join(file, "report.json"), "a folder": filepath.Join(dir, "folder")} {
		t.Run(name, func(t *testing.T) {
			errs := run(t, NewJSON(JSONOptions{Path: path}), tellPromoted())
			if len(errs) != 2 || errs[0].Error() != errs[1].Error() {
				t.Fatalf("the same error at the end of the run and of the reports: %q", errs)
			}
			if !strings.HasPrefix(errs[0].Error(), "write "+path+": ") || deploy.HintOf(errs[0]) == "" {
				t.Errorf("%v, hint %q", errs[0], deploy.HintOf(errs[0]))
			}
		})
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestNoEventsNoReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	if errs := run(t, NewJSON(JSONOptions{Path: path}), nil); len(errs) > 0 {
		t.Error(errs)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is one")
	}
}
