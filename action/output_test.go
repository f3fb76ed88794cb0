package action

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fileCommands reads entries of GITHUB_OUTPUT as the runner does: the first
// line that equals the delimiter ends an entry.
func fileCommands(t *testing.T, content string) map[string]string {
	t.Helper()
	entries := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		name, delimiter, ok := strings.Cut(lines[i], "<<")
		if !ok {
			t.Fatalf("line %d, %q, begins no entry", i, lines[i])
		}
		var value []string
		for i++; i < len(lines) && lines[i] != delimiter; i++ {
			value = append(value, lines[i])
		}
		if i == len(lines) {
			t.Fatalf("%s does not end", name)
		}
		entries[name] = strings.Join(value, "\n")
	}
	return entries
}

func TestSetOutput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	r, _ := onRunner(env{"GITHUB_OUTPUT": file})
	values := map[string]string{
		OutputVersion: "1.4.2",
		OutputPlan:    "{\n  \"a\": 1\n}",
		OutputURL:     "",
		OutputOutcome: "x\n_GitHubActionsFileCommandDelimeter_\noutcome<<E\npromoted\nE",
		OutputDigest:  "slipway-\nEOF\ndigest=sha256:0",
	}
	for name, value := range values {
		if err := r.SetOutput(name, value); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := fileCommands(t, string(content))
	for name, value := range values {
		if got[name] != value {
			t.Errorf("%s: got %q, want %q", name, got[name], value)
		}
	}
	if len(got) != len(values) {
		t.Errorf("%d entries of %d: a value has made another", len(got), len(values))
	}
}

func TestOutputsAreMasked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	r, _ := onRunner(env{"GITHUB_OUTPUT": file, "GITHUB_STEP_SUMMARY": file})
	r.AddMask("hunter22")
	if err := r.SetOutput(OutputURL, "http://hunter22@host"); err != nil {
		t.Fatal(err)
	}
	if err := r.Summary("# hunter22"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(content), "hunter22") {
		t.Errorf("%v: %s", err, content)
	}
}

func TestStateIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	r, _ := onRunner(env{"GITHUB_STATE": file, "STATE_run": "7"})
	if err := r.SetState("run", "7"); err != nil {
		t.Fatal(err)
	}
	content, _ := os.ReadFile(file)
	if got := fileCommands(t, string(content))["run"]; got != "7" || r.State("run") != "7" {
		t.Errorf("kept %q, read %q", got, r.State("run"))
	}
}

func TestOutputErrors(t *testing.T) {
	r, _ := onRunner(env{"GITHUB_STATE": t.TempDir()})
	tests := map[string]struct {
		err  error
		want string
	}{
		"not set":     {r.SetOutput("a", "b"), "the runner did not set it"},
		"not a file":  {r.SetState("a", "b"), "is a directory"},
		"a bad name":  {r.SetOutput("a\nb", "c"), "cannot be a name"},
		"an injected": {r.SetOutput("a<<b", "c"), "cannot be a name"},
		"too long":    {r.Summary(strings.Repeat("x", maxSummary+1)), "more than GitHub takes"},
	}
	for name, test := range tests {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, test.err, test.want)
		}
	}
}

func TestWithoutRunnerNothingIsWritten(t *testing.T) {
	var out strings.Builder
	r := New(env{}.get, &out)
	r.Group("g")
	r.EndGroup()
	r.AddMask("hunter22")
	r.Warning("t", "m")
	if err := r.SetOutput("a", "b"); err != nil {
		t.Error(err)
	}
	if err := r.Summary("x"); err != nil {
		t.Error(err)
	}
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}
