package main

import (
	"regexp"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// A release that is killed once its last stage has passed has moved no tag.
// Settle brings the version forward, and the tags with it.
func TestSettleMovesTags(t *testing.T) {
	const strategy = "{blue-green: {keep: 100ms}}"
	s := newScene(t, strategy)
	s.write(t, "app: hello\ntags: [minor, major, latest]\nbuild: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}\n"+
		"service: {health: /healthz, replicas: 2, drain: 2s, env: {DELAY: 400ms}}\n"+
		"environments: {production: {target: sandbox, strategy: "+strategy+"}}\n")
	s.must(t, "release", "--version", "1.0.0")
	users := s.visit(t)
	s.use(t, "HELLO_1_1_0")
	s.killAt(t, moment{deploy.PhasePromoting, 2})
	out, err := s.run("settle")
	users.end()
	if err != nil {
		t.Fatalf("settle: %v\n%s", err, out)
	}
	s.whole(t, "1.1.0")
	// A release that was quicker than the signal has moved them before.
	for _, tag := range []string{"1.1 (is new, at|stays at) 1.1.0", "1 (moved from 1.0.0 to|stays at) 1.1.0", "latest (moved from 1.0.0 to|stays at) 1.1.0"} {
		if !regexp.MustCompile("the tag " + tag).MatchString(out) {
			t.Errorf("settle does not say %q:\n%s", tag, out)
		}
	}
}
