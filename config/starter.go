package config

import (
	_ "embed"
	"strings"
)

//go:embed starter.yaml
var starter string

//go:embed workflow.yml
var workflow string

// Starter is a first slipway.yaml with comments that teach, for an app that is
// called like its folder as far as an app's name may be. It is valid as it
// stands.
func Starter(folder string) []byte {
	return []byte(strings.Replace(starter, "app: hello\n", "app: "+appName(folder)+"\n", 1))
}

// Workflow is a first .github/workflows/slipway.yml, which releases what
// [Starter] describes.
func Workflow() []byte { return []byte(workflow) }

// maxLabel is the longest name that labelForm lets pass.
const maxLabel = 63

// appName makes a folder's name into a name that labelForm lets pass, in
// quotes where YAML would take it for something else than a text.
func appName(folder string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(folder) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		default:
			b.WriteByte('-')
		}
	}
	name := strings.Join(strings.FieldsFunc(b.String(), func(c rune) bool { return c == '-' }), "-")
	name = strings.TrimRight(name[:min(len(name), maxLabel)], "-")
	switch name {
	case "":
		return "app"
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return `"` + name + `"`
	}
	if name[0] <= '9' { // a number, or nearly one
		return `"` + name + `"`
	}
	return name
}
