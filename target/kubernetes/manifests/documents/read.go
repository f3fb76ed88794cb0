// Package documents reads the documents of YAML files, with the line of what is
// wrong in them. It is a room of its own so that it can be fuzzed without the
// libraries of charts and Kustomizations.
package documents

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
)

// document is a part of a file, and the number of the line before it.
type document struct {
	text   []byte
	before int
}

// divide divides a file at the lines that begin with "---".
func divide(data []byte) []document {
	all := []document{{}}
	for n, line := range bytes.SplitAfter(data, []byte("\n")) {
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))) {
			all = append(all, document{before: n})
			line = append([]byte("   "), rest...)
		}
		last := &all[len(all)-1]
		last.text = append(last.text, line...)
	}
	return all
}

// Read gives the objects of a file; name is how it is called in errors, each of
// which is one of usage, with the line.
func Read(name string, data []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, d := range divide(data) {
		content, err := decode(d.text)
		if err != nil {
			return nil, mistake(name, lineOf(err, d), "%s", strings.TrimSpace(plainly(err)))
		}
		if content == nil {
			continue
		}
		objects, err := unfold(content)
		if err != nil {
			return nil, mistake(name, first(d), "%w", err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

func mistake(name string, line int, format string, args ...any) error {
	return deploy.Usage("every document is one object of Kubernetes, or a list of them", "%s:%d: %w", name, line, fmt.Errorf(format, args...))
}

// decode gives a document's content, nil if it has none. Keys that are there
// twice are an error, and whole numbers are int64.
func decode(text []byte) (any, error) {
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var content any
	err = json.Unmarshal(data, &content)
	return content, err
}

var lineNumber = regexp.MustCompile(`(?:yaml: )?line (\d+): ?`)

// lineOf is the line of a file that the parser complains about.
func lineOf(err error, d document) int {
	if found := lineNumber.FindStringSubmatch(err.Error()); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			return d.before + n
		}
	}
	return first(d)
}

// plainly is what the parser says, without its line, which is another one.
func plainly(err error) string {
	said := strings.ReplaceAll(err.Error(), "error converting YAML to JSON: ", "")
	said = strings.ReplaceAll(said, "yaml: unmarshal errors:\n", "")
	return strings.TrimPrefix(lineNumber.ReplaceAllString(said, ""), "yaml: ")
}

// first is the line on which a document's content begins.
func first(d document) int {
	for n, line := range bytes.Split(d.text, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return d.before + n + 1
		}
	}
	return d.before + 1
}

// unfold gives a document's objects: itself, or the items of a list.
func unfold(content any) ([]*unstructured.Unstructured, error) {
	fields, ok := content.(map[string]any)
	if !ok {
		return nil, errors.New("the document is no object")
	}
	kind, _ := fields["kind"].(string)
	if version, ok := fields["apiVersion"].(string); !ok || version == "" || kind == "" {
		return nil, errors.New("the object has no apiVersion or no kind")
	}
	items, ok := fields["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		o := &unstructured.Unstructured{Object: fields}
		return []*unstructured.Unstructured{o}, named(o)
	}
	var all []*unstructured.Unstructured
	for i, item := range items {
		fields, ok := item.(map[string]any)
		if !ok || strings.HasSuffix(fmt.Sprint(fields["kind"]), "List") {
			return nil, fmt.Errorf("item %d of the %s is no object", i, kind)
		}
		objects, err := unfold(item)
		if err != nil {
			return nil, fmt.Errorf("item %d of the %s: %w", i, kind, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// named refuses what cannot be found again: an object needs a name that stays.
func named(o *unstructured.Unstructured) error {
	metadata, ok := o.Object["metadata"].(map[string]any)
	if !ok {
		return fmt.Errorf("the %s has no metadata", o.GetKind())
	}
	if name, ok := metadata["name"].(string); !ok || name == "" {
		if _, ok := metadata["generateName"]; ok {
			return fmt.Errorf("the %s has a generateName: it needs a metadata.name, so that the next release finds it", o.GetKind())
		}
		return fmt.Errorf("the %s has no metadata.name", o.GetKind())
	}
	for _, field := range []string{"labels", "annotations"} {
		if _, _, err := unstructured.NestedStringMap(o.Object, "metadata", field); metadata[field] != nil && err != nil {
			return fmt.Errorf("%s/%s: metadata.%s must be strings; put numbers and true or false into quotes", o.GetKind(), o.GetName(), field)
		}
	}
	if namespace, ok := metadata["namespace"]; ok && namespace != nil {
		if _, ok := namespace.(string); !ok {
			return fmt.Errorf("%s/%s: metadata.namespace must be a string", o.GetKind(), o.GetName())
		}
	}
	return nil
}

// Values gives the map of a file of values, or of settings. A mistake is one of
// usage, with the line.
func Values(name string, data []byte) (map[string]any, error) {
	fields := map[string]any{}
	if err := yaml.UnmarshalStrict(data, &fields); err != nil {
		return nil, deploy.Usage("values are a map in YAML", "%s:%d: %s", name, lineOf(err, document{text: data}), strings.TrimSpace(plainly(err)))
	}
	return fields, nil
}

// Maps are the documents of a file that are maps; others are left out.
func Maps(data []byte) []map[string]any {
	var all []map[string]any
	for _, d := range divide(data) {
		var fields map[string]any
		if yaml.Unmarshal(d.text, &fields) == nil {
			all = append(all, fields)
		}
	}
	return all
}
