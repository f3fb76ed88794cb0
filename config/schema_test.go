package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-ci/slipway/config"
)

// TestSchemaIsCommitted keeps the file that editors fetch in step with the
// types.
func TestSchemaIsCommitted(t *testing.T) { golden(t, "slipway.schema.json", string(generated(t))) }

func generated(t *testing.T) []byte {
	t.Helper()
	schema, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// compiled is the schema as a validator; compiling holds it to the metaschema.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(generated(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(config.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(config.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// values are a YAML file as an editor sees it.
func values(data []byte) (any, error) {
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

func TestSchemaTakesWhatIsRight(t *testing.T) {
	schema := compiled(t)
	contents := map[string][]byte{"the first file": config.Starter("2048")}
	for _, path := range files(t, "testdata/ok/*.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		contents[filepath.Base(path)] = data
	}
	for name, data := range contents {
		t.Run(name, func(t *testing.T) {
			v, err := values(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Error(err)
			}
		})
	}
}

// beyondSchema are the mistakes of testdata/err that JSON Schema cannot see,
// and why.
var beyondSchema = map[string]string{
	"after-cycle":                 otherKeys,
	"after-cycles":                otherKeys,
	"after-itself":                otherKeys,
	"after-unknown":               otherKeys,
	"after-unknown-alone":         otherKeys,
	"approve-beside-wrong-steps":  otherKeys,
	"approve-no-stop":             otherKeys,
	"bake-preview":                otherKeys,
	"approve-order":               otherKeys,
	"secret-and-variable":         otherKeys,
	"secret-before-variable":      otherKeys,
	"kubernetes-preview":          otherKeys,
	"key-is-nothing":              yamlAlone,
	"steps-order":                 otherKeys,
	"tasks-names":                 otherKeys,
	"version-channels-shared":     otherKeys,
	"escape":                      characters,
	"latin1":                      characters,
	"tag":                         yamlAlone,
	"tag-on-key":                  yamlAlone,
	"two-documents":               yamlAlone,
	"two-documents-dots":          yamlAlone,
	"two-documents-empty-between": yamlAlone,
}

const (
	otherKeys  = "it takes a look at other values"
	characters = "the file is judged before there are values"
	yamlAlone  = "no value shows it"
)

// TestSchemaRefusesWhatIsWrong holds the schema to every mistake that it can
// see, and the list of the others to the truth.
func TestSchemaRefusesWhatIsWrong(t *testing.T) {
	schema := compiled(t)
	for _, path := range files(t, "testdata/err/*.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if strings.HasPrefix(name, "alias-bomb") {
			continue // the YAML library would go off
		}
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			v, err := values(data)
			if err != nil {
				return // no editor gets as far as to ask the schema
			}
			reason, beyond := beyondSchema[name]
			err = schema.Validate(v)
			if err == nil && !beyond {
				t.Error("the schema takes it")
			}
			if err != nil && beyond {
				t.Errorf("the schema sees it, though listed as: %s\n%v", reason, err)
			}
		})
	}
}

// TestSchemaDescribesEveryKey walks all properties.
func TestSchemaDescribesEveryKey(t *testing.T) {
	var schema any
	if err := json.Unmarshal(generated(t), &schema); err != nil {
		t.Fatal(err)
	}
	described := 0
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch node := node.(type) {
		case []any:
			for _, n := range node {
				walk(path, n)
			}
		case map[string]any:
			if strings.HasSuffix(path, "/not") || strings.HasSuffix(path, "/anyOf") {
				return // conditions on keys that are described elsewhere
			}
			for key, n := range node {
				walk(path+"/"+key, n)
			}
			properties, _ := node["properties"].(map[string]any)
			for key, n := range properties {
				described++
				text, _ := n.(map[string]any)["description"].(string)
				if !strings.HasSuffix(text, ".") {
					t.Errorf("%s/%s is described as %q", path, key, text)
				}
			}
		}
	}
	walk("", schema)
	if described < 40 {
		t.Errorf("only %d keys were found", described)
	}
}
