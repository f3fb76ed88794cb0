package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// keys are what a struct of the document calls its fields.
type keys struct {
	names    []string
	required []string
	index    map[string]int
}

func keysOf(t reflect.Type) keys {
	k := keys{index: map[string]int{}}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == "" {
			continue
		}
		k.names = append(k.names, name)
		k.index[name] = i
		if slices.Contains(strings.Split(t.Field(i).Tag.Get("jsonschema"), ","), "required") {
			k.required = append(k.required, name)
		}
	}
	return k
}

// examples show each key with a value that it may have, for hints.
var examples = map[string]string{
	// the file, and merged mappings
	topName: "app: hello",
	"<<":    "<<: *common, where &common marks a mapping",
	// at the top
	"app":          "app: hello",
	"image":        "image: ghcr.io/acme/hello",
	"build":        "build: {files: [{from: bin/hello, to: /hello}], entrypoint: [/hello]}",
	"service":      "service: {replicas: 2}",
	"checks":       "checks: [{name: home, get: /}]",
	"environments": "environments: {staging: {target: sandbox}}",
	// build
	"base":       "base: gcr.io/distroless/static",
	"files":      "files: [{from: bin/hello, to: /hello}]",
	"entrypoint": "entrypoint: [/hello]",
	"platform":   "platform: linux/amd64",
	"from":       "from: bin/hello",
	"to":         "to: /hello",
	"mode":       "mode: 0755",
	"uid":        "uid: 1000",
	"gid":        "gid: 1000",
	"owner":      "owner: 1000:1000",
	// service
	"port":          "port: 8080",
	"health":        "health: /healthz",
	"replicas":      "replicas: 2",
	"env":           "env: {LOG_LEVEL: info}",
	"secrets":       "secrets: [API_KEY]",
	"start-timeout": "start-timeout: 1m",
	"drain":         "drain: 10s",
	// checks
	"name":     "name: home",
	"get":      "get: /",
	"expect":   "expect: status == 200",
	"run":      "run: [./smoke.sh]",
	"timeout":  "timeout: 10s",
	"attempts": "attempts: 3",
	// environments
	"target":   "target: sandbox",
	"after":    "after: staging",
	"strategy": "strategy: {canary: {steps: [10%, 50%, 100%], hold: 30s}}",
	// targets and strategies
	"sandbox":    "sandbox: {port: 18080}",
	"recreate":   "recreate: {hold: 10s}",
	"rolling":    "rolling: {batch: 1}",
	"blue-green": "blue-green: {keep: 30s}",
	"canary":     "canary: {steps: [10%, 50%, 100%], hold: 30s}",
	"hold":       "hold: 30s",
	"errors":     "errors: 1%",
	"batch":      "batch: 1",
	"keep":       "keep: 30s",
	"steps":      "steps: [10%, 50%, 100%]",
}

// homesOf says where a key would be right, such as "below service or below
// sandbox"; empty where it would be right nowhere.
func homesOf(key string) string { return strings.Join(homes()[key], " or ") }

// homes are the places of each key of the document.
var homes = sync.OnceValue(func() map[string][]string {
	all := map[string][]string{}
	var walk func(t reflect.Type, home string)
	walk = func(t reflect.Type, home string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t != reflect.TypeFor[environments]() {
			t = t.Elem()
		}
		switch t {
		case reflect.TypeFor[environments]():
			t, home = reflect.TypeFor[environment](), "below an environment"
		case reflect.TypeFor[target]():
			t = reflect.TypeFor[targets]()
		case reflect.TypeFor[strategy]():
			t = reflect.TypeFor[strategies]()
		}
		if t.Kind() != reflect.Struct {
			return
		}
		for i := range t.NumField() {
			name := t.Field(i).Tag.Get("yaml")
			if name == "" || slices.Contains(all[name], home) {
				continue
			}
			all[name] = append(all[name], home)
			walk(t.Field(i).Type, "below "+name)
		}
	}
	walk(reflect.TypeFor[document](), "to the top of the file")
	return all
})
