package config

import (
	_ "embed"
	"strconv"
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

// Workflow is a first .github/workflows/slipway.yml, which builds and releases
// what [Starter] describes. It runs on GitHub's own runners as it stands.
func Workflow() []byte { return []byte(workflow) }

// appName makes a folder's name into an app's name, in quotes where YAML would
// take it for something else than a text.
func appName(folder string) string {
	name := toLabel(folder)
	switch name {
	case "":
		return "app"
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(name)
	}
	if name[0] <= '9' { // a number, or nearly one
		return strconv.Quote(name)
	}
	return name
}
