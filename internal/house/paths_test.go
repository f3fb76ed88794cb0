package house

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// machinePath matches paths that mean something on one machine only. It is
// put together from parts, so that it does not match itself.
var machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.$}-])/(` + strings.Join([]string{"work", "root", "Users"}, "|") + `)/` +
	`|(^|[^A-Za-z0-9_.$}-])/work([^/A-Za-z0-9_-]|$)` + `|/home/[a-z]+/` + `|bash_` + `jobs`)

// telling is in each of these paths: what holds none of it need not be matched,
// which takes seconds for all files.
var telling = []string{"/" + "work", "/" + "root/", "/" + "Users/", "/home/", "bash_" + "jobs"}

// legitimate is a path of the same form that every machine has.
const legitimate = "/home/runner/"

func machinePaths(text string) []string {
	if !slices.ContainsFunc(telling, func(part string) bool { return strings.Contains(text, part) }) {
		return nil
	}
	return machinePath.FindAllString(strings.ReplaceAll(text, legitimate, ""), -1)
}

func TestNothingNamesAPathOfOneMachine(t *testing.T) {
	for _, path := range files(t) {
		text := read(t, path)
		if strings.HasPrefix(path, "internal/house/paths_test") || strings.Contains(text[:min(len(text), 8000)], "\x00") {
			continue
		}
		for _, found := range machinePaths(text) {
			t.Errorf("%s names a path of one machine: %q", path, found)
		}
	}
}

func TestPathsOfOneMachineAreSeen(t *testing.T) {
	for text, want := range map[string]int{
		"see /" + "work/main/go.mod":               1,
		"HOME=/" + "root/x":                        1,
		`"/` + `Users/kim/src"`:                    1,
		"/home/" + "kim/src":                       1,
		"cd /" + "work":                            1,
		"cd /" + "work\nls":                        1,
		".github/workflows/test.yml":               0,
		"/github/workspace/slipway.yaml":           0,
		"/home/runner/work/_temp":                  0,
		"the root / of the image, mode 0755":       0,
		"${GITHUB_WORKSPACE}/work/x is the user's": 0,
	} {
		if got := machinePaths(text); len(got) != want {
			t.Errorf("%q: found %q", text, got)
		}
	}
}
