package githubtest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// description is the part of GitHub's own description of its REST API that
// Slipway uses, with its schemas as JSON Schema. TestExtract cuts it out.
//
//go:embed openapi.json
var description []byte

// contract is what GitHub promises to take and to answer.
type contract struct {
	operations []*operation
	// schemas are those that others refer to, by "#/$defs/NAME".
	schemas map[string]any
}

// operation is one of GitHub's, such as POST /repos/{owner}/{repo}/deployments.
type operation struct {
	method string
	parts  []string
	query  map[string]*jsonschema.Schema
	// request is nil where there is no body.
	request *jsonschema.Schema
	answers map[int]*jsonschema.Schema
	// shapes are the same as data, for complete.
	shapes map[int]any
}

// theContract is read once: compiling it takes longer than most tests.
var theContract = sync.OnceValues(readContract)

func readContract() (*contract, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		return nil, fmt.Errorf("read GitHub's description: %w", err)
	}
	const name = "openapi.json"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, document); err != nil {
		return nil, fmt.Errorf("read GitHub's description: %w", err)
	}
	root, _ := document.(map[string]any)
	c := &contract{}
	c.schemas, _ = root["$defs"].(map[string]any)
	described, _ := root["operations"].([]any)
	for i := range described {
		o, err := readOperation(compiler, described[i], fmt.Sprintf("%s#/operations/%d", name, i))
		if err != nil {
			return nil, fmt.Errorf("read GitHub's description: %w", err)
		}
		c.operations = append(c.operations, o)
	}
	return c, nil
}

func readOperation(compiler *jsonschema.Compiler, described any, at string) (*operation, error) {
	d, _ := described.(map[string]any)
	method, _ := d["method"].(string)
	path, _ := d["path"].(string)
	o := &operation{
		method: method, parts: strings.Split(path, "/"), query: map[string]*jsonschema.Schema{},
		answers: map[int]*jsonschema.Schema{}, shapes: map[int]any{},
	}
	var errs []error
	compile := func(pointer string) *jsonschema.Schema {
		s, err := compiler.Compile(at + pointer)
		errs = append(errs, err)
		return s
	}
	query, _ := d["query"].(map[string]any)
	for name := range query {
		o.query[name] = compile("/query/" + name)
	}
	if _, ok := d["request"]; ok {
		o.request = compile("/request")
	}
	answers, _ := d["answers"].(map[string]any)
	for code, shape := range answers {
		status, err := strconv.Atoi(code)
		errs = append(errs, err)
		o.answers[status], o.shapes[status] = compile("/answers/"+code), shape
	}
	return o, errors.Join(errs...)
}

// find is the operation of a request; nil when GitHub has no such one.
func (c *contract) find(method, path string) *operation {
	parts := strings.Split(path, "/")
	for _, o := range c.operations {
		if o.method == method && o.matches(parts) {
			return o
		}
	}
	return nil
}

func (o *operation) matches(parts []string) bool {
	last := len(o.parts) - 1
	if o.parts[last] == "{ref}" && len(parts) > last { // it has several parts
		parts = append(slices.Clone(parts[:last]), strings.Join(parts[last:], "/"))
	}
	if len(parts) != len(o.parts) {
		return false
	}
	for i, part := range o.parts {
		if part != parts[i] && !strings.HasPrefix(part, "{") {
			return false
		}
	}
	return true
}

// takes holds a request against what GitHub takes. It is stricter than GitHub,
// which ignores parameters that it does not know.
func (o *operation) takes(query url.Values, body []byte) error {
	for name := range query {
		schema, ok := o.query[name]
		if !ok {
			return fmt.Errorf("there is no query parameter %s", name)
		}
		if err := schema.Validate(typed(query.Get(name))); err != nil {
			return fmt.Errorf("query parameter %s: %w", name, err)
		}
	}
	if o.request == nil {
		return nil
	}
	return validate(o.request, body)
}

// typed is a query parameter as JSON has it.
func typed(s string) any {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	if s == "true" || s == "false" {
		return s == "true"
	}
	return s
}

// answersWith holds an answer against what GitHub answers. What is wrong at
// GitHub's own side is not described.
func (o *operation) answersWith(status int, body []byte) error {
	schema, ok := o.answers[status]
	if !ok {
		if status >= 400 {
			return nil
		}
		return fmt.Errorf("the status %d is not among the answers", status)
	}
	if len(body) == 0 {
		return nil
	}
	return validate(schema, body)
}

func validate(schema *jsonschema.Schema, body []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("problems parsing JSON: %w", err)
	}
	return schema.Validate(value)
}

// complete adds to an answer what GitHub always has in it, empty.
func (c *contract) complete(shape, value any) any {
	shape = c.plain(shape)
	schema, _ := shape.(map[string]any)
	switch value := value.(type) {
	case map[string]any:
		return c.completeObject(schema, value)
	case []any:
		for i := range value {
			value[i] = c.complete(schema["items"], value[i])
		}
	}
	return value
}

func (c *contract) completeObject(schema, value map[string]any) map[string]any {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		name, _ := name.(string)
		if _, ok := value[name]; !ok {
			value[name] = c.empty(properties[name])
		}
	}
	for name, inside := range value {
		value[name] = c.complete(properties[name], inside)
	}
	return value
}

// plain follows references and takes the first of alternatives.
func (c *contract) plain(shape any) any {
	for {
		schema, ok := shape.(map[string]any)
		if !ok {
			return shape
		}
		if ref, ok := schema["$ref"].(string); ok {
			shape = c.schemas[strings.TrimPrefix(ref, "#/$defs/")]
			continue
		}
		first := alternatives(schema)
		if len(first) == 0 {
			return shape
		}
		shape = first[0]
	}
}

func alternatives(schema map[string]any) []any {
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		if list, ok := schema[key].([]any); ok {
			return list
		}
	}
	return nil
}

// empty is the least that a schema allows: null where it may be.
func (c *contract) empty(shape any) any {
	if mayBeNull(shape) {
		return nil
	}
	schema, _ := c.plain(shape).(map[string]any)
	if values, ok := schema["enum"].([]any); ok {
		return values[0]
	}
	switch schema["type"] {
	case "object":
		return c.completeObject(schema, map[string]any{})
	case "array":
		return []any{}
	case "boolean":
		return false
	case "integer", "number":
		return 0
	}
	switch schema["format"] {
	case "date-time":
		return someTime
	case "uri":
		return "https://api.github.com/"
	}
	return ""
}

func mayBeNull(shape any) bool {
	schema, _ := shape.(map[string]any)
	for _, one := range alternatives(schema) {
		if one, ok := one.(map[string]any); ok && one["type"] == "null" {
			return true
		}
	}
	return false
}

// someTime is when everything at this GitHub happened.
const someTime = "2026-03-14T09:26:53Z"

// values turns a struct into what complete works on.
func values(v any) (any, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	var out any
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	if err := decoder.Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return out, nil
}
