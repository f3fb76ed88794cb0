package githubtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// extract cuts openapi.json anew out of the whole description, which the npm
// package @octokit/openapi has as generated/api.github.com.json.
var extract = flag.String("extract", "", "cut openapi.json out of this `file`")

// used are the operations that Slipway uses.
var used = map[string][]string{
	"/rate_limit": {"get"},
	"/user":       {"get"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}/approvals":                                  {"get"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs":             {"get"},
	"/orgs/{org}/packages/{package_type}/{package_name}/versions":                            {"get"},
	"/orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}":       {"delete"},
	"/users/{username}/packages/{package_type}/{package_name}/versions":                      {"get"},
	"/users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}": {"delete"},
	"/repos/{owner}/{repo}/branches":                                                         {"get"},
	"/repos/{owner}/{repo}/environments":                                                     {"get"},
	"/repos/{owner}/{repo}/environments/{environment_name}":                                  {"get", "delete"},
	"/repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies":       {"get"},
	"/repos/{owner}/{repo}/git/matching-refs/{ref}":                                          {"get"},
	"/repos/{owner}/{repo}/pulls/{pull_number}":                                              {"get"},
	"/repos/{owner}/{repo}/commits/{commit_sha}/pulls":                                       {"get"},
	"/repos/{owner}/{repo}/deployments":                                                      {"get", "post"},
	"/repos/{owner}/{repo}/deployments/{deployment_id}/statuses":                             {"get", "post"},
	"/repos/{owner}/{repo}/issues/{issue_number}/comments":                                   {"get", "post"},
	"/repos/{owner}/{repo}/issues/comments/{comment_id}":                                     {"patch", "delete"},
	"/repos/{owner}/{repo}/statuses/{sha}":                                                   {"post"},
}

func TestExtract(t *testing.T) {
	if *extract == "" {
		t.Skip("no -extract")
	}
	content, err := os.ReadFile(filepath.Clean(*extract))
	if err != nil {
		t.Fatal(err)
	}
	c := cutter{kept: map[string]any{}}
	if err := json.Unmarshal(content, &c.whole); err != nil {
		t.Fatal(err)
	}
	cut := map[string]any{"$comment": c.source(), "operations": c.operations(), "$defs": c.kept}
	out, err := json.MarshalIndent(cut, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("openapi.json", append(out, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// cutter takes operations out of an OpenAPI 3.0 description and turns their
// schemas into JSON Schema, with what they refer to in kept.
type cutter struct {
	whole map[string]any
	kept  map[string]any
}

func (c *cutter) source() string {
	info := c.whole["info"].(map[string]any)
	return fmt.Sprintf("%s %s, %s; cut to what Slipway uses by TestExtract; see openapi.LICENSE",
		info["title"], info["version"], info["description"])
}

func (c *cutter) operations() []any {
	var all []any
	for _, path := range slices.Sorted(maps.Keys(used)) {
		for _, method := range used[path] {
			described := c.whole["paths"].(map[string]any)[path].(map[string]any)[method].(map[string]any)
			all = append(all, c.operation(strings.ToUpper(method), path, described))
		}
	}
	return all
}

func (c *cutter) operation(method, path string, described map[string]any) map[string]any {
	cut := map[string]any{"method": method, "path": path, "query": c.query(described), "answers": map[string]any{}}
	if body, ok := described["requestBody"].(map[string]any); ok {
		cut["request"] = c.body(body)
	}
	for status, answer := range described["responses"].(map[string]any) {
		cut["answers"].(map[string]any)[status] = c.body(c.resolve(answer))
	}
	return cut
}

// resolve follows a reference to something that is no schema.
func (c *cutter) resolve(v any) map[string]any {
	m := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	found := any(c.whole)
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		found = found.(map[string]any)[part]
	}
	return found.(map[string]any)
}

func (c *cutter) query(described map[string]any) map[string]any {
	query := map[string]any{}
	parameters, _ := described["parameters"].([]any)
	for _, p := range parameters {
		if p := c.resolve(p); p["in"] == "query" {
			query[p["name"].(string)] = c.schema(p["schema"])
		}
	}
	return query
}

// body is the schema of a JSON body; true, which allows everything, where
// there is none.
func (c *cutter) body(described map[string]any) any {
	content, _ := described["content"].(map[string]any)
	as, ok := content["application/json"].(map[string]any)
	if !ok {
		return true
	}
	return c.schema(as["schema"])
}

// constraints are the keywords that say what is valid.
var constraints = []string{
	"type", "format", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength",
	"minItems", "maxItems", "uniqueItems",
}

func (c *cutter) schema(v any) any {
	s, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if ref, ok := s["$ref"].(string); ok {
		return c.keep(strings.TrimPrefix(ref, "#/components/schemas/"))
	}
	out := map[string]any{}
	for _, key := range constraints {
		if value, ok := s[key]; ok {
			out[key] = value
		}
	}
	c.inner(s, out)
	if s["nullable"] == true {
		return nullable(out)
	}
	return out
}

// inner are the schemas within a schema.
func (c *cutter) inner(s, out map[string]any) {
	if properties, ok := s["properties"].(map[string]any); ok {
		inside := map[string]any{}
		for name, p := range properties {
			inside[name] = c.schema(p)
		}
		out["properties"] = inside
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if value, ok := s[key]; ok {
			out[key] = c.schema(value)
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		list, ok := s[key].([]any)
		if !ok {
			continue
		}
		var all []any
		for _, one := range list {
			all = append(all, c.schema(one))
		}
		out[key] = all
	}
}

// nullable says in JSON Schema what OpenAPI 3.0 has a keyword for.
func nullable(s map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
}

func (c *cutter) keep(name string) any {
	if _, ok := c.kept[name]; !ok {
		c.kept[name] = nil // it may refer to itself
		c.kept[name] = c.schema(c.whole["components"].(map[string]any)["schemas"].(map[string]any)[name])
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}
