package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// good is the version that users have before, and bad the one that is released
// to them, which may be good.
const good = "1.0.0"

// everything is the scene that is played by itself.
const everything = "fails all requests, time and again"

// scene is a version under load, and what has to come of its release.
type scene struct {
	// name completes "a version that …".
	name string
	// build is what the version is like.
	build workshop.Build
	// perSecond is how many requests users send.
	perSecond int
	// yaml is the rest of slipway.yaml, in which PROMETHEUS stands for the
	// address of one.
	yaml string
	// watched: a Prometheus looks at the memory of both versions.
	watched bool
	// limited: it needs a kernel that limits memory.
	limited bool

	// code is how the release has to exit.
	code int
	// reason is what the sentence has to say; nil where it does not go back.
	reason *regexp.Regexp
	// dies: the version takes requests with it.
	dies bool
	// late: it has to have answered well before it failed.
	late bool
}

// The settings that scenes share.
const (
	// Half of the users meet the new version in each of these, for at most so
	// long: more than ten times as long as it takes to find what is wrong. So
	// nothing but the judge ends such a stage early.
	half = "{canary: {steps: [50%, 100%], hold: 90s}}"
	// Durations are judged only where they are what is wrong: a machine that is
	// busy with something else may be slow for one version and not for the other,
	// and then there would be two reasons to choose from.
	errorsAlone = "judge: {warm-up: 10m}\n"
	// In these it takes 40 ms as a median, and more than 200 ms in one of twenty.
	// The spread makes what a busy machine adds small beside it.
	slowApp = `DELAY: 40ms, SPREAD: "1"`
	// The limit on memory has to be exceeded for 3 s, and in three readings. What
	// has no warm-up has none for durations either, which are as those of the
	// good one: to keep something takes next to no time beside slowApp's.
	byMemory = `judge:
  warm-up: 0s
  alpha: 0.01%
  metrics: [{name: memory, prometheus: "PROMETHEUS", value: 'max(process_resident_memory_bytes{version="{{.Version}}"})', ratio: 1.5, for: 3s, every: 1s}]
checks: [{name: watch, run: [sh, watch.sh]}]
`
)

func (b *bench) scenes() []scene {
	after := time.Duration(b.either(120, 12)) * time.Second
	return []scene{
		{
			name: "fails 1% of the requests", build: workshop.Build{Fails: 1}, perSecond: 200,
			yaml: errorsAlone + production(2, "", half),
			code: reverted, reason: regexp.MustCompile(`^errors .*% against 0% on the live version`),
		},
		{
			name: "fails 10% of the requests", build: workshop.Build{Fails: 10}, perSecond: 200,
			yaml: errorsAlone + production(2, "", half),
			code: reverted, reason: regexp.MustCompile(`^errors .*% against 0% on the live version`),
		},
		{
			name: "fails all requests", build: workshop.Build{Fails: 100}, perSecond: 200,
			yaml: errorsAlone + production(2, "", half),
			code: reverted, reason: regexp.MustCompile(`^errors 100% against 0% on the live version`),
		},
		{
			name: "takes 1.5 times as long", build: workshop.Build{Slow: 1.5}, perSecond: 100,
			yaml: "judge: {warm-up: 5s}\n" + production(2, slowApp, half),
			code: reverted, reason: regexp.MustCompile(`^latency: .*% took longer than .* on the live version`),
		},
		{
			name: "leaks memory, of which a limit is set to the ratio", build: workshop.Build{Leaks: 64}, perSecond: 100, watched: true,
			yaml: byMemory + production(1, slowApp, half),
			code: reverted, reason: regexp.MustCompile(`^memory .* against .* on the live version; the limit is 1.5 times as much`),
		},
		{
			name: "leaks memory until the kernel refuses more", build: workshop.Build{Leaks: 1024}, perSecond: 100, limited: true,
			yaml: errorsAlone + production(2, `MEMORY: "192"`, half),
			code: reverted, reason: regexp.MustCompile(`^a replica of .* died while it was watched|^errors `), dies: true,
		},
		{
			name: fmt.Sprintf("fails 10%% of the requests, from %s on", after), build: workshop.Build{Fails: 10, After: after}, perSecond: 100,
			yaml: errorsAlone + production(2, "", fmt.Sprintf("{canary: {steps: [50%%, 100%%], hold: 3s, bake: %s}}", after+90*time.Second)),
			code: reverted, reason: regexp.MustCompile(`^errors .*% against 0% on the (version before|live version)`), late: true,
		},
		{
			name: "is as good", build: workshop.Build{}, perSecond: 100,
			// A false alarm is to be rarer than what else goes wrong on a machine.
			yaml: "judge: {warm-up: 5s, alpha: 0.01%, max-hold: 3m}\n" + production(2, slowApp, "{canary: {steps: [50%, 100%], hold: 20s}}"),
		},
	}
}

// reverted is the exit code of a release that went back.
const reverted = 3

// production is that environment, with variables and a strategy as YAML.
func production(replicas int, env, strategy string) string {
	return fmt.Sprintf("service: {health: /healthz, replicas: %d, env: {%s}}\nenvironments: {production: {target: sandbox, strategy: %s}}\n", replicas, env, strategy)
}

const app = `app: hello
build:
  files: [{from: hello, to: /hello}]
  entrypoint: [/hello]
`

// missing says what a scene lacks on this machine; empty where nothing.
func (s scene) missing() string {
	if (s.watched || s.limited) && runtime.GOOS != "linux" {
		return "that takes Linux"
	}
	if _, err := exec.LookPath("prometheus"); s.watched && err != nil {
		return "there is no prometheus on the PATH"
	}
	return ""
}

// version is that of the i-th scene.
func version(i int) string { return fmt.Sprintf("1.%d.0", i+1) }

// failing is the version that fails all requests, time and again.
const failing = "2.0.0"

// builds are those of scenes, in their order, of what is live before, and of the
// one that fails all requests.
func builds(all []scene) []workshop.Build {
	list := []workshop.Build{{Version: good}, {Version: failing, Fails: 100}}
	for i, s := range all {
		s.build.Version = version(i)
		list = append(list, s.build)
	}
	return list
}
