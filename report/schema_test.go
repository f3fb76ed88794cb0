package report

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-ci/slipway/deploy"
)

const schemaFile = "report.schema.json"

// makeSchema is the JSON Schema of a Story, made of the types, their comments,
// and the constants of those that are words.
func makeSchema(t *testing.T) []byte {
	t.Helper()
	words := constants(t, "../deploy", ".")
	r := &generator.Reflector{Anonymous: true, AllowAdditionalProperties: true, Mapper: func(typ reflect.Type) *generator.Schema {
		switch typ {
		case reflect.TypeFor[deploy.Percent]():
			return &generator.Schema{Type: "number", Minimum: "0", Maximum: "100"}
		case reflect.TypeFor[Seconds]():
			return &generator.Schema{Type: "number", Minimum: "0", Description: "Seconds."}
		}
		if list, ok := words[typ.Name()]; ok && typ.Kind() == reflect.String {
			return &generator.Schema{Type: "string", Enum: list}
		}
		return nil
	}}
	if err := r.AddGoComments("github.com/slipway-ci/slipway/report", "."); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(&Story{})
	s.ID = "https://raw.githubusercontent.com/slipway-ci/slipway/main/report/" + schemaFile
	s.Title = "The JSON report of a Slipway run"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.ReplaceAll(out, []byte(`\n`), []byte(" ")), '\n')
}

// constants are the string constants of packages, by the name of their type.
func constants(t *testing.T, folders ...string) map[string][]any {
	t.Helper()
	all := map[string][]any{}
	for _, folder := range folders {
		files, err := fs.Glob(os.DirFS(folder), "*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				collect(d, all)
			}
		}
	}
	return all
}

func collect(d ast.Decl, all map[string][]any) {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.CONST {
		return
	}
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		typ, ok := v.Type.(*ast.Ident)
		if !ok || len(v.Values) != 1 {
			continue
		}
		if word, ok := v.Values[0].(*ast.BasicLit); ok && word.Kind == token.STRING {
			text, _ := strconv.Unquote(word.Value)
			all[typ.Name] = append(all[typ.Name], text)
		}
	}
}

func TestTheSchemaIsThatOfTheTypes(t *testing.T) {
	want := makeSchema(t)
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is behind the types: go test ./report -update writes it (%v)", schemaFile, err)
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	var s struct {
		Defs map[string]struct {
			Description string
			Properties  map[string]struct {
				Description string
				Ref         string `json:"$ref"`
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(makeSchema(t), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Defs) < 10 {
		t.Errorf("%d definitions", len(s.Defs))
	}
	for name, d := range s.Defs {
		if d.Description == "" {
			t.Errorf("%s is not described", name)
		}
		for field, p := range d.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s is not described", name, field)
			}
		}
	}
}

// compiled is the schema as a reader of reports has it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheSchemaRefusesWhatIsNoReport(t *testing.T) {
	schema := compiled(t)
	good, err := json.Marshal(told(tellReverted()))
	if err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string][2]string{
		"an outcome that is none": {`"outcome":"reverted"`, `"outcome":"rolled-back"`},
		"an act that is none":     {`"act":"split"`, `"act":"jump"`},
		"a share above 100":       {`"share":10,`, `"share":101,`},
		"a time that is none":     {`"started":"2026`, `"started":"in 2026`},
		"no schema":               {`"schema":1`, `"scheme":1`},
		"a kind that is none":     {`"kind":"run-started"`, `"kind":"begun"`},
	} {
		changed := strings.Replace(string(good), replace[0], replace[1], 1)
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(changed))
		if err != nil || changed == string(good) {
			t.Fatalf("%s: nothing was changed: %v", name, err)
		}
		if schema.Validate(value) == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
