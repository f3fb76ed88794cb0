package documents

import (
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

const settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func FuzzRead(f *testing.F) {
	for _, text := range []string{settings, "---\n", "--- {a: b}\n...\n", "a: &a [*a]", "apiVersion: v1\nkind: List\nitems: [{}]\n", "\ufeff" + settings, "%YAML 1.1\n---\n" + settings} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := Read("a.yaml", data)
		if err != nil {
			if !deploy.IsUsage(err) || !strings.HasPrefix(err.Error(), "a.yaml:") || strings.HasPrefix(err.Error(), "a.yaml:0") {
				t.Fatalf("no mistake with its place: %v", err)
			}
			return
		}
		for _, o := range all {
			if o.GetAPIVersion() == "" || o.GetKind() == "" || o.GetName() == "" {
				t.Fatalf("an object without a name: %v", o.Object)
			}
		}
	})
}

func TestDocumentsKeepTheirLines(t *testing.T) {
	text := "# a\n---\n" + settings + "--- # b\n" + strings.ReplaceAll(settings, "a}", "b}") + "---\napiVersion: v1\n"
	_, err := Read("x.yaml", []byte(text))
	if err == nil || !strings.HasPrefix(err.Error(), "x.yaml:11: the object has no apiVersion or no kind") {
		t.Errorf("said %v", err)
	}
	all, err := Read("x.yaml", []byte(text[:strings.LastIndex(text, "---")]))
	if err != nil || len(all) != 2 || all[1].GetName() != "b" {
		t.Errorf("read %v: %v", all, err)
	}
}
