package config_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/config"
)

// shape is what is read of a JSON Schema.
type shape struct {
	Description string
	Properties  map[string]shape
	Items       *shape
	OneOf       []shape
	// AdditionalProperties are a schema, or false.
	AdditionalProperties json.RawMessage
}

// keysBelow are the paths of all keys with their descriptions: entries of lists
// as [], names that the user chooses as *.
func keysBelow(path string, s shape) map[string]string {
	all := map[string]string{}
	if s.Items != nil {
		maps.Copy(all, keysBelow(path+"[]", *s.Items))
	}
	for name, property := range s.Properties {
		key := strings.TrimPrefix(path+"."+name, ".")
		all[key] = property.Description
		maps.Copy(all, keysBelow(key, property))
	}
	for _, one := range s.OneOf {
		maps.Copy(all, keysBelow(path, one))
	}
	var named shape
	if json.Unmarshal(s.AdditionalProperties, &named) == nil {
		maps.Copy(all, keysBelow(path+".*", named))
	}
	return all
}

// inherited are keys that an environment has in the same form as the app.
var inherited = regexp.MustCompile(`^environments\.\*\.(service\.|checks\[\]\.|tasks\.|judge\.)`)

// repeated reports a key that preview has in the same form as the other
// environments.
func repeated(key, description string, all map[string]string) bool {
	rest, ofPreview := strings.CutPrefix(key, "environments.preview.")
	return ofPreview && all["environments.*."+rest] == description
}

var keyRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]* \\| (.*) \\|$")

// TestDocumentationListsEveryKey holds the tables of docs/configuration.md
// against the schema that editors get.
func TestDocumentationListsEveryKey(t *testing.T) {
	content, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema shape
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	all := keysBelow("", schema)
	want := maps.Clone(all)
	maps.DeleteFunc(want, func(key, description string) bool {
		return inherited.MatchString(key) || repeated(key, description, all)
	})

	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range keyRow.FindAllStringSubmatch(string(page), -1) {
		got[m[1]] = strings.ReplaceAll(m[2], `\|`, "|")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys, schema (-) and docs/configuration.md (+):\n%s", diff)
	}
}
