package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of ready-made queries is held against them.
func TestTheDocumentKnowsAllPresets(t *testing.T) {
	text, err := os.ReadFile("../docs/judge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| preset | counts |")
	if !found {
		t.Fatal("docs/judge.md has no table of presets")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.*?) \\|").FindAllStringSubmatch(table, -1) {
		told = append(told, row[1])
		p := presets[row[1]]
		for _, metric := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[2], -1) {
			if !strings.Contains(p.requests+p.latency+p.value+strings.Join(p.errors, ""), metric[1]) {
				t.Errorf("the preset %s does not ask for %s", row[1], metric[1])
			}
		}
	}
	slices.Sort(told)
	if !slices.Equal(told, Presets()) {
		t.Errorf("docs/judge.md tells of %v, there are %v", told, Presets())
	}
}
