package action

import (
	"os"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// manifest is what is read of action.yml.
type manifest struct {
	Inputs  yaml.MapSlice `yaml:"inputs"`
	Outputs yaml.MapSlice `yaml:"outputs"`
	Runs    struct {
		Using, Image, Entrypoint string
		Args                     []string
		PostEntrypoint           string `yaml:"post-entrypoint"`
	} `yaml:"runs"`
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	content, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func specs(section yaml.MapSlice) []Spec {
	var all []Spec
	for _, item := range section {
		fields, _ := item.Value.(map[string]any)
		s := Spec{Name: item.Key.(string)}
		s.Description, _ = fields["description"].(string)
		s.Default, _ = fields["default"].(string)
		s.Required, _ = fields["required"].(bool)
		all = append(all, s)
	}
	return all
}

func TestManifestSaysWhatTheCodeSays(t *testing.T) {
	m := readManifest(t)
	if diff := cmp.Diff(InputSpecs(), specs(m.Inputs)); diff != "" {
		t.Errorf("inputs, code (-) and action.yml (+):\n%s", diff)
	}
	if diff := cmp.Diff(OutputSpecs(), specs(m.Outputs)); diff != "" {
		t.Errorf("outputs, code (-) and action.yml (+):\n%s", diff)
	}
}

func TestManifestRunsAutoAndSettles(t *testing.T) {
	runs := readManifest(t).Runs
	if runs.Using != "docker" || runs.Image != "Dockerfile" || runs.Entrypoint != "/slipway" ||
		!cmp.Equal(runs.Args, []string{Auto}) || runs.PostEntrypoint != "/slipway-settle" {
		t.Errorf("got %+v", runs)
	}
}

// TestEveryInputIsRead sets each input of action.yml to something that only
// this input refuses or takes over.
func TestEveryInputIsRead(t *testing.T) {
	for _, spec := range InputSpecs() {
		r, _ := onRunner(nil)
		plain, err := r.Inputs()
		if err != nil {
			t.Fatal(err)
		}
		r, _ = onRunner(env{"INPUT_" + upper(spec.Name): "no\x01thing"})
		if got, err := r.Inputs(); err == nil && got == plain {
			t.Errorf("the input %s is not read", spec.Name)
		}
	}
}

func upper(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
