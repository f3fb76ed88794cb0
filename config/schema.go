package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"

	"github.com/slipway-ci/slipway/deploy"
)

// SchemaID is the address of the schema that belongs to this version of the
// file's form.
const SchemaID = "https://raw.githubusercontent.com/slipway-ci/slipway/main/config/slipway.schema.json"

// Schema is the JSON Schema (draft 2020-12) of slipway.yaml for editors, as
// indented JSON with a newline at the end. It is made of the types that the
// reader fills and knows the shape of a file: keys, types, ranges, patterns.
// What can only be seen by comparing values (cycles, order of steps, names
// that must exist) is for the reader alone.
func Schema() ([]byte, error) {
	s := inline(&document{})
	s.Version = jsonschema.Version
	s.ID = SchemaID
	s.Title = "slipway.yaml"
	s.Description = "One app, its image, and the environments that it is brought to by Slipway."
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("make schema: %w", err)
	}
	return append(out, '\n'), nil
}

// inline is the schema of a type without references to others.
func inline(v any) *jsonschema.Schema {
	r := &jsonschema.Reflector{
		Anonymous:                  true,
		DoNotReference:             true,
		ExpandedStruct:             true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
	}
	s := r.Reflect(v)
	s.Version = ""
	return s
}

// schema of a text that has the form.
func (f form) schema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: f.pattern.String()}
}

// JSONSchema implements the hook of the schema library; so do those below.
func (label) JSONSchema() *jsonschema.Schema      { return labelForm.schema() }
func (repository) JSONSchema() *jsonschema.Schema { return repositoryForm.schema() }
func (platform) JSONSchema() *jsonschema.Schema   { return platformForm.schema() }
func (imagePath) JSONSchema() *jsonschema.Schema  { return imagePathForm.schema() }
func (httpPath) JSONSchema() *jsonschema.Schema   { return httpForm.schema() }
func (checkName) JSONSchema() *jsonschema.Schema  { return checkNameForm.schema() }
func (expression) JSONSchema() *jsonschema.Schema { return expressionForm.schema() }
func (argument) JSONSchema() *jsonschema.Schema   { return argumentForm.schema() }
func (exchange) JSONSchema() *jsonschema.Schema   { return exchangeForm.schema() }
func (audience) JSONSchema() *jsonschema.Schema   { return audienceForm.schema() }
func (userName) JSONSchema() *jsonschema.Schema   { return userForm.schema() }
func (scope) JSONSchema() *jsonschema.Schema      { return scopeForm.schema() }
func (owner) JSONSchema() *jsonschema.Schema      { return ownerForm.schema() }
func (limit) JSONSchema() *jsonschema.Schema      { return durationForm.schema() }
func (pause) JSONSchema() *jsonschema.Schema      { return durationForm.schema() }
func (lifetime) JSONSchema() *jsonschema.Schema   { return durationForm.schema() }
func (patience) JSONSchema() *jsonschema.Schema   { return durationForm.schema() }

func (next) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Enum: []any{nextPatch, nextCommits}}
}

func (channels) JSONSchema() *jsonschema.Schema {
	name := channelForm.schema()
	name.MaxLength = at(maxChannel)
	return &jsonschema.Schema{
		Type:                 "object",
		PropertyNames:        &jsonschema.Schema{Type: "string", MinLength: at(1), MaxLength: at(maxBranch)},
		AdditionalProperties: name,
	}
}

// JSONSchemaExtend knows that channels go with commits alone.
func (versioning) JSONSchemaExtend(s *jsonschema.Schema) {
	commits := jsonschema.NewProperties()
	commits.Set("next", &jsonschema.Schema{Const: nextCommits, Description: "Channels need it."})
	s.If = &jsonschema.Schema{Required: []string{"channels"}}
	s.Then = &jsonschema.Schema{Required: []string{"next"}, Properties: commits}
}

func (floatings) JSONSchema() *jsonschema.Schema {
	one := &jsonschema.Schema{Type: "string"}
	for _, name := range floatingNames() {
		one.Enum = append(one.Enum, name)
	}
	return &jsonschema.Schema{Type: "array", Items: one, UniqueItems: true}
}

// previewNames are those that deploy.PullRequestOf knows.
const previewNames = `pr-[1-9][0-9]{0,17}`

func (reference) JSONSchema() *jsonschema.Schema {
	s := referenceForm.schema()
	s.Not = &jsonschema.Schema{Pattern: "^(" + deploy.PreviewName + "|" + previewNames + ")$"}
	return s
}

func (baseImage) JSONSchema() *jsonschema.Schema {
	s := baseForm.schema()
	s.Not = &jsonschema.Schema{Const: "scratch"}
	return s
}

func (localPath) JSONSchema() *jsonschema.Schema {
	s := localForm.schema()
	s.Not = &jsonschema.Schema{Pattern: `^\.\.(/|$)`}
	return s
}

func (variable) JSONSchema() *jsonschema.Schema {
	s := variableForm.schema()
	s.Not = &jsonschema.Schema{Const: "PORT"}
	return s
}

func (port) JSONSchema() *jsonschema.Schema   { return integers((*port)(nil)) }
func (count) JSONSchema() *jsonschema.Schema  { return integers((*count)(nil)) }
func (userID) JSONSchema() *jsonschema.Schema { return integers((*userID)(nil)) }

func integers(b interface{ bounds() (low, high int) }) *jsonschema.Schema {
	low, high := b.bounds()
	return &jsonschema.Schema{Type: "integer", Minimum: number(low), Maximum: number(high)}
}

func number(n int) json.Number { return json.Number(fmt.Sprint(n)) }

func (fileMode) JSONSchema() *jsonschema.Schema {
	return oneOfThese(modeForm.schema(), &jsonschema.Schema{Type: "integer", Minimum: number(1), Maximum: number(777)})
}

// The percentages of all users and of none, as texts.
const (
	allUsers = `^100(\.0+)?%?$`
	noUsers  = `^0+(\.0+)?%?$`
)

func (share) JSONSchema() *jsonschema.Schema {
	text := percentForm.schema()
	text.Not = &jsonschema.Schema{Pattern: noUsers}
	return oneOfThese(text, &jsonschema.Schema{Type: "number", ExclusiveMinimum: number(0), Maximum: number(100)})
}

func (tolerance) JSONSchema() *jsonschema.Schema {
	return oneOfThese(percentForm.schema(), &jsonschema.Schema{Type: "number", Minimum: number(0), Maximum: number(100)})
}

func (approval) JSONSchema() *jsonschema.Schema {
	text := percentForm.schema()
	text.Not = &jsonschema.Schema{Pattern: allUsers}
	return oneOfThese(text, &jsonschema.Schema{Type: "number", Minimum: number(0), ExclusiveMaximum: number(100)})
}

func (approvals) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: approval(0).JSONSchema(), UniqueItems: true}
}

// JSONSchemaExtend knows 0% alone as a share to ask a person at.
func (blueGreen) JSONSchemaExtend(s *jsonschema.Schema) {
	if list, ok := s.Properties.Get("approve"); ok {
		list.Items = oneOfThese(&jsonschema.Schema{Type: "string", Pattern: noUsers}, &jsonschema.Schema{Const: 0})
		list.MaxItems = at(1)
	}
}

func oneOfThese(s ...*jsonschema.Schema) *jsonschema.Schema { return &jsonschema.Schema{OneOf: s} }

func (steps) JSONSchema() *jsonschema.Schema {
	end := oneOfThese(&jsonschema.Schema{Type: "string", Pattern: allUsers}, &jsonschema.Schema{Const: 100})
	return &jsonschema.Schema{Type: "array", Items: share(0).JSONSchema(), MinItems: at(1), Contains: end}
}

func (stageName) JSONSchema() *jsonschema.Schema    { return stageForm.schema() }
func (cacheImage) JSONSchema() *jsonschema.Schema   { return cacheForm.schema() }
func (builderPlace) JSONSchema() *jsonschema.Schema { return builderForm.schema() }
func (givenImage) JSONSchema() *jsonschema.Schema   { return givenForm.schema() }

func (buildArgs) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:                 "object",
		PropertyNames:        variableForm.schema(),
		AdditionalProperties: oneOfThese(argumentForm.schema(), &jsonschema.Schema{Type: "number"}, &jsonschema.Schema{Type: "boolean"}),
	}
}

func (secretFiles) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", PropertyNames: secretIDForm.schema(), AdditionalProperties: localPath("").JSONSchema()}
}

func (variables) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:                 "object",
		PropertyNames:        variable("").JSONSchema(),
		AdditionalProperties: oneOfThese(argumentForm.schema(), &jsonschema.Schema{Type: "number"}, &jsonschema.Schema{Type: "boolean"}),
	}
}

func (environments) JSONSchema() *jsonschema.Schema {
	names := labelForm.schema()
	names.Not = &jsonschema.Schema{Pattern: "^" + previewNames + "$"}
	preview := jsonschema.NewProperties()
	preview.Set(deploy.PreviewName, previewSchema())
	alone := &jsonschema.Schema{Required: []string{deploy.PreviewName}}
	return &jsonschema.Schema{
		Type:                 "object",
		MinProperties:        at(1),
		MaxProperties:        at(maxEnvironments),
		AnyOf:                []*jsonschema.Schema{{Not: alone}, {MinProperties: at(2)}},
		PropertyNames:        names,
		Properties:           preview,
		AdditionalProperties: environmentSchema(""),
	}
}

// environmentSchema is the schema of the environment of that name.
func environmentSchema(name string) *jsonschema.Schema {
	s := inline(&environment{})
	for key := range refusals(name) {
		s.Properties.Delete(key)
	}
	return s
}

// previewSchema is that of an environment that is a pattern.
func previewSchema() *jsonschema.Schema {
	s := environmentSchema(deploy.PreviewName)
	s.Description = "What the environments of pull requests are made from, pr-12 and so on. Left out: they get none."
	if strategy, ok := s.Properties.Get("strategy"); ok {
		strategy.Description = "How a push gets to the preview. Left out: blue-green that keeps no old side."
	}
	if target, ok := s.Properties.Get("target"); ok {
		withoutPort(target)
	}
	return s
}

// withoutPort takes the fixed port from a target that many share.
func withoutPort(target *jsonschema.Schema) {
	for _, form := range target.OneOf {
		if form.Properties == nil { // the name alone
			continue
		}
		if sandbox, ok := form.Properties.Get("sandbox"); ok {
			sandbox.Properties.Delete("port")
		}
	}
}

func (target) JSONSchema() *jsonschema.Schema {
	return choiceOf(&targets{}, keysOf(reflect.TypeFor[targets]()).names)
}

func (strategy) JSONSchema() *jsonschema.Schema {
	return choiceOf(&strategies{}, wordsOf(deploy.Kinds))
}

func (judge) JSONSchema() *jsonschema.Schema {
	return oneOfThese(wordSchema([]string{observe}), inline(&judging{}))
}

func (bake) JSONSchema() *jsonschema.Schema {
	return oneOfThese(pause(0).JSONSchema(), inline(&baking{}))
}

func (baker) JSONSchema() *jsonschema.Schema     { return wordSchema(wordsOf(deploy.Bakers)) }
func (onUnknown) JSONSchema() *jsonschema.Schema { return wordSchema(wordsOf(deploy.OnUnknowns)) }
func (pace) JSONSchema() *jsonschema.Schema      { return wordSchema(wordsOf(deploy.Paces)) }
func (baseline) JSONSchema() *jsonschema.Schema  { return wordSchema(wordsOf(deploy.Baselines)) }

func wordSchema(words []string) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, w := range words {
		s.Enum = append(s.Enum, w)
	}
	return s
}

func (chance) JSONSchema() *jsonschema.Schema {
	text := percentForm.schema()
	text.Not = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Pattern: noUsers}, {Pattern: allUsers}}}
	return oneOfThese(text, &jsonschema.Schema{Type: "number", ExclusiveMinimum: number(0), ExclusiveMaximum: number(100)})
}

func (ratio) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "number", ExclusiveMinimum: number(1), Maximum: number(maxRatio)}
}

// choiceOf is a name alone, or a mapping with that name as its only key.
func choiceOf(settings any, names []string) *jsonschema.Schema {
	set := inline(settings)
	set.MinProperties, set.MaxProperties = at(1), at(1)
	return oneOfThese(wordSchema(names), set)
}

// JSONSchemaExtend asks for an image to log in for.
func (document) JSONSchemaExtend(s *jsonschema.Schema) {
	s.DependentRequired = map[string][]string{"login": {"image"}}
}

// JSONSchemaExtend asks for exactly one of get and run.
func (check) JSONSchemaExtend(s *jsonschema.Schema) {
	s.OneOf = []*jsonschema.Schema{{Required: []string{"get"}}, {Required: []string{"run"}}}
	s.DependentRequired = map[string][]string{"expect": {"get"}}
	program(s, "run")
}

// JSONSchemaExtend asks for a base, or all that makes an image run without, or
// another of the ways to an image, and for one way alone.
func (build) JSONSchemaExtend(s *jsonschema.Schema) {
	s.AnyOf = []*jsonschema.Schema{
		{Required: []string{"base"}},
		with("files", &jsonschema.Schema{MinItems: at(1)}, "files", "entrypoint"),
	}
	for i, way := range ways {
		s.AnyOf = append(s.AnyOf, &jsonschema.Schema{Required: []string{way}})
		for _, other := range slices.Concat(ways[:i], packing) {
			s.AllOf = append(s.AllOf, &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{way, other}}})
		}
	}
	for _, key := range packing {
		s.AllOf = append(s.AllOf, &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{"platforms", key}}})
	}
	s.DependentRequired = map[string][]string{}
	for _, key := range ofDockerfile {
		s.DependentRequired[key] = []string{"dockerfile"}
	}
	program(s, "entrypoint")
	unique(s, "secrets")
	unique(s, "platforms")
}

// JSONSchemaExtend refuses owner beside uid and gid.
func (copied) JSONSchemaExtend(s *jsonschema.Schema) {
	s.AllOf = []*jsonschema.Schema{
		{Not: &jsonschema.Schema{Required: []string{"owner", "uid"}}},
		{Not: &jsonschema.Schema{Required: []string{"owner", "gid"}}},
	}
}

// JSONSchemaExtend refuses a secret that is there twice.
func (service) JSONSchemaExtend(s *jsonschema.Schema) { unique(s, "secrets") }

// JSONSchemaExtend refuses a secret that is there twice, and a short form beside
// its long form.
func (environment) JSONSchemaExtend(s *jsonschema.Schema) {
	unique(s, "secrets")
	for _, key := range []string{"env", "secrets", "replicas"} {
		both := with("service", &jsonschema.Schema{Required: []string{key}}, key, "service")
		s.AllOf = append(s.AllOf, &jsonschema.Schema{Not: both})
	}
}

// with is an object that has the required keys and, under key, what s says.
func with(key string, s *jsonschema.Schema, required ...string) *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	properties.Set(key, s)
	return &jsonschema.Schema{Required: required, Properties: properties}
}

// program asks for a list that begins with the name of a program, if it is
// there.
func program(s *jsonschema.Schema, key string) {
	list, ok := s.Properties.Get(key)
	if !ok {
		return
	}
	first := argumentForm.schema()
	first.MinLength = at(1)
	list.MinItems, list.PrefixItems = at(1), []*jsonschema.Schema{first}
}

// unique asks for lists without repetition, if they are there.
func unique(s *jsonschema.Schema, key string) {
	if list, ok := s.Properties.Get(key); ok {
		list.UniqueItems = true
	}
}

func at(n uint64) *uint64 { return &n }
