package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
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

// without are the keys less those that are refused.
func (k keys) without(refused map[string]refusal) keys {
	is := func(name string) bool { _, refuses := refused[name]; return refuses }
	k.names = slices.DeleteFunc(k.names, is)
	k.required = slices.DeleteFunc(k.required, is)
	for name := range refused {
		delete(k.index, name)
	}
	return k
}

// examples show each key with a value that it may have, for hints.
var examples = map[string]string{ //nolint:gosec // secrets are named here, not told
	// the file, and merged mappings
	topName: "app: hello",
	"<<":    "<<: *common, where &common marks a mapping",
	// at the top
	"app":           "app: hello",
	"image":         "image: ghcr.io/acme/hello",
	"released-from": "released-from: [acme/hello]",
	"build":         "build: {files: [{from: bin/hello, to: /hello}], entrypoint: [/hello]}",
	"service":       "service: {replicas: 2}",
	"checks":        "checks: [{name: home, get: /}]",
	"environments":  "environments: {staging: {target: sandbox}}",
	// login
	"login":    "login: {exchange: https://sts.googleapis.com/v1/token, audience: //iam.googleapis.com/projects/…}",
	"exchange": "exchange: https://sts.googleapis.com/v1/token",
	"audience": "audience: //iam.googleapis.com/projects/…",
	"user":     "user: oauth2accesstoken",
	"scope":    "scope: https://www.googleapis.com/auth/cloud-platform",
	// version and tags
	"version":  "version: {next: commits}",
	"next":     "next: commits",
	"channels": "channels: {main: stable, next: beta}",
	"tags":     "tags: [minor, major, latest]",
	// prune
	"mirrors":     "mirrors: {docker.io: mirror.gcr.io}",
	"prune":       "prune: {keep-newest: 10, older-than: 720h}",
	"keep-newest": "keep-newest: 10",
	"older-than":  "older-than: 720h",
	"pattern":     "pattern: 0.0.0-pr.*",
	"stable":      "stable: false",
	// build
	"base":         "base: gcr.io/distroless/static",
	"files":        "files: [{from: bin/hello, to: /hello}]",
	"entrypoint":   "entrypoint: [/hello]",
	"platform":     "platform: linux/amd64",
	"dockerfile":   "dockerfile: Dockerfile",
	"context":      "context: app",
	"args":         "args: {NODE_ENV: production}",
	"secret-files": "secret-files: {npmrc: .npmrc}",
	"cache-from":   "cache-from: [ghcr.io/acme/hello:cache]",
	"cache-to":     "cache-to: ghcr.io/acme/hello:cache",
	"builder":      "builder: tcp://127.0.0.1:1234",
	"archive":      "archive: dist/hello.tar",
	"platforms":    "platforms: [linux/amd64, linux/arm64]",
	"from":         "from: bin/hello",
	"to":           "to: /hello",
	"mode":         "mode: 0755",
	"uid":          "uid: 1000",
	"gid":          "gid: 1000",
	"owner":        "owner: 1000:1000",
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
	// tasks
	"tasks":  "tasks: {before: [{name: migrate, run: [/hello, migrate]}]}",
	"before": "before: [{name: migrate, run: [/hello, migrate]}]",
	// environments
	"target":   "target: sandbox",
	"after":    "after: staging",
	"strategy": "strategy: {canary: {steps: [10%, 50%, 100%], hold: 30s}}",
	"ttl":      "ttl: 72h",
	"limit":    "limit: 10",
	// targets and strategies
	"sandbox":    "sandbox: {port: 18080}",
	"kubernetes": "kubernetes: {namespace: hello, gateway: {name: public, host: hello.example.com}}",
	"namespace":  "namespace: hello",
	"gateway":    "gateway: {name: public, namespace: gateways, host: hello.example.com}",
	"host":       "host: hello.example.com",
	"quota":      "quota: {cpu: 2, memory: 4Gi, pods: 20}",
	"pods":       "pods: 20",
	"testers":    "testers: {header: X-Canary, value: always}",
	"sticky":     "sticky: {cookie: session}",
	"cookie":     "cookie: session",
	"header":     "header: X-Canary",
	"ends-in":    "ends-in: hex",
	"pre-stop":   "pre-stop: 5s",
	"cpu":        "cpu: 250m",
	"memory":     "memory: 128Mi",
	"isolated":   "isolated: true",
	"autoscale":  "autoscale: {min: 2, max: 10, cpu: 70%}",
	"min":        "min: 2",
	"max":        "max: 10",
	// manifests
	"manifests":     "manifests: deploy",
	"kustomization": "kustomization: deploy/production",
	"chart":         "chart: deploy/chart",
	"release":       "release: hello",
	"values":        "values: [deploy/values.yaml]",
	"set":           "set: [replicas=3]",
	"hooks":         "hooks: false",
	"hook-timeout":  "hook-timeout: 15m",
	"workload":      "workload: web",
	"container":     "container: app",
	"route":         "route: web",
	"rollout":       "rollout: web",
	"force":         "force: true",
	"recreate":      "recreate: {hold: 10s}",
	"rolling":       "rolling: {batch: 1}",
	"blue-green":    "blue-green: {keep: 30s}",
	"canary":        "canary: {steps: [10%, 50%, 100%], hold: 30s}",
	"pace":          "pace: evidence",
	"baseline":      "baseline: fresh",
	"bake":          "bake: 30m",
	"by":            "by: schedule",
	"hold":          "hold: 30s",
	"errors":        "errors: 1%",
	"batch":         "batch: 1",
	"keep":          "keep: 30s",
	"steps":         "steps: [10%, 50%, 100%]",
	"approve":       "approve: [0%]",
	// judge
	"judge":                "judge: {on-unknown: hold}",
	"observe":              "observe: true",
	"alpha":                "alpha: 1%",
	"margin":               "margin: 0.1%",
	"latency":              "latency: {ratio: 1.25}",
	"ratio":                "ratio: 1.25",
	"warm-up":              "warm-up: 30s",
	"max-hold":             "max-hold: 30m",
	"on-unknown":           "on-unknown: hold",
	"metrics":              "metrics: [{name: checkout, prometheus: http://prometheus:9090, preset: traefik}]",
	"prometheus":           "prometheus: http://prometheus:9090",
	"url":                  "url: https://metrics.example.com/hello",
	"token":                "token: PROMETHEUS_TOKEN",
	"password":             "password: PROMETHEUS_PASSWORD",
	"every":                "every: 15s",
	"preset":               "preset: traefik",
	"backend":              "backend: '{{.App}}-{{.Revision}}'",
	"select":               `select: version="{{.Version}}"`,
	"requests":             `requests: http_requests_total{version="{{.Version}}"}`,
	"value":                `value: sum(queue_length{version="{{.Version}}"})`,
	"at-most":              "at-most: 300ms",
	"for":                  "for: 1m",
	"headers":              "headers: {X-Scope-OrgID: METRICS_TENANT}",
	"latency-unit":         "latency-unit: ms",
	"errors-may-be-absent": "errors-may-be-absent: true",
	"least":                "least: 0.1",
	"quantile":             "quantile: 0.99",
	"success":              "success: result.errors / result.requests < 0.01",
	"failure":              "failure: result.errors > 100.0",
	"interval":             "interval: 1m",
	"initial-delay":        "initial-delay: 30s",
	"count":                "count: 5",
	"failure-limit":        "failure-limit: 3",
	"inconclusive-limit":   "inconclusive-limit: 3",
}

// homesOf says where a key would be right, such as "below service or below
// sandbox"; empty where it would be right nowhere.
func homesOf(key string) string { return strings.Join(homes()[key], " or ") }

// homes are the places of each key of the document, by key.
var homes = sync.OnceValue(func() homesByKey {
	all := homesByKey{}
	all.walk(reflect.TypeFor[document](), "to the top of the file")
	return all
})

type homesByKey map[string][]string

// walk notes the keys of a type at home, and of all types in it.
func (all homesByKey) walk(t reflect.Type, home string) {
	t, home = keyed(t, home)
	if t.Kind() != reflect.Struct {
		return
	}
	var elsewhere map[string]refusal
	if t == reflect.TypeFor[environment]() {
		elsewhere = refusals("")
	}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		at := home
		if _, refused := elsewhere[name]; refused {
			at = "below " + deploy.PreviewName
		}
		if name == "" || slices.Contains(all[name], at) {
			continue
		}
		all[name] = append(all[name], at)
		all.walk(t.Field(i).Type, "below "+name)
	}
}

// keyed is the type whose fields are the keys of a type that reads itself or
// is behind a pointer or in a list.
func keyed(t reflect.Type, home string) (reflect.Type, string) {
	switch t {
	case reflect.TypeFor[environments]():
		return reflect.TypeFor[environment](), "below an environment"
	case reflect.TypeFor[target]():
		return reflect.TypeFor[targets](), home
	case reflect.TypeFor[strategy]():
		return reflect.TypeFor[strategies](), home
	case reflect.TypeFor[judge]():
		return reflect.TypeFor[judging](), home
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		return keyed(t.Elem(), home)
	}
	return t, home
}
