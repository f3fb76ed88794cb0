package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/config"
)

const top = "../.."

func find(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("nothing is called %s (%v)", pattern, err)
		}
		all = append(all, paths...)
	}
	return all
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func documents(t *testing.T) []string {
	return find(t, "*.md", "docs/*.md", "examples/*/README.md")
}

func TestExamplesAreValid(t *testing.T) {
	for _, path := range find(t, "examples/*/slipway.yaml") {
		file, err := config.Load(path, rules())
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if want := filepath.Base(filepath.Dir(path)); file.App.Name != want {
			t.Errorf("%s: the app is called %s, its folder %s", path, file.App.Name, want)
		}
	}
}

var (
	blocks = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	// heredocs are files that a reader is told to write.
	heredocs = regexp.MustCompile(`(?ms)^cat > slipway\.yaml <<'EOF'\n(.*?)^EOF$`)
	anApp    = regexp.MustCompile(`(?m)^app: `)
)

// TestDocumentsShowValidFiles reads every whole slipway.yaml that is shown.
func TestDocumentsShowValidFiles(t *testing.T) {
	shown := 0
	for _, path := range documents(t) {
		text := content(t, path)
		for _, m := range append(blocks.FindAllStringSubmatch(text, -1), heredocs.FindAllStringSubmatch(text, -1)...) {
			if !anApp.MatchString(m[1]) {
				continue
			}
			shown++
			if _, err := config.Parse(path, []byte(m[1]), rules()); err != nil {
				t.Errorf("%v", err)
			}
		}
	}
	if shown < 2 {
		t.Errorf("only %d files were found in the documents", shown)
	}
}

var links = regexp.MustCompile(`\]\(([^)\s#]+)(?:#[^)\s]*)?\)`)

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	for _, path := range documents(t) {
		for _, m := range links.FindAllStringSubmatch(content(t, path), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

var (
	uses    = regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)@(\S+)(.*)$`)
	pinned  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	release = regexp.MustCompile(`^ # v[0-9]+\.[0-9]+\.[0-9]+$`)
)

// TestActionsArePinned holds workflows and documents to commits, with the
// version in a comment. Our own action is shown by the tag that moves.
func TestActionsArePinned(t *testing.T) {
	for _, path := range append(documents(t), find(t, ".github/workflows/*.yml", "examples/*/.github/workflows/*.yml")...) {
		for _, m := range uses.FindAllStringSubmatch(content(t, path), -1) {
			if m[1] == "slipway-ci/slipway" {
				continue
			}
			if !pinned.MatchString(m[2]) || !release.MatchString(m[3]) {
				t.Errorf("%s: %s@%s%s is not a commit with its version in a comment", path, m[1], m[2], m[3])
			}
		}
	}
}

var tool = regexp.MustCompile(`github\.com/(?:golangci|rhysd)/\S+@v[0-9.]+`)

func TestWorkflowLintsAsCIDoes(t *testing.T) {
	want := tool.FindAllString(content(t, filepath.Join(top, ".ci/run")), -1)
	got := tool.FindAllString(content(t, filepath.Join(top, ".github/workflows/lint.yml")), -1)
	if len(want) < 2 || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("lint.yml installs %q, .ci/run %q", got, want)
	}
}
