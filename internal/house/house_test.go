package house

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// knows is the plan of the house: whom each room may import. Siblings do not
// know one another; cmd/slipway alone knows everybody.
var knows = map[string][]string{
	"deploy":   nil,
	"action":   {"deploy"},
	"checks":   {"deploy", "internal/complaint"},
	"config":   {"deploy"},
	"registry": {"deploy"},
	// A room of its own, so that the libraries of BuildKit stay in one place.
	"registry/dockerfile": {"deploy", "registry"},
	// The clouds' libraries are large and read the environment by themselves.
	"registry/cloud": {"deploy"},
	"report":         {"deploy", "forge"},
	"version":        {"deploy"},

	"forge":            {"deploy"},
	"forge/githubtest": nil,

	"rollout":                   {"deploy", "rollout/analysis"},
	"rollout/analysis":          {"deploy"},
	"rollout/analysis/simulate": {"deploy", "rollout/analysis"},
	"metrics":                   {"deploy", "rollout/analysis", "internal/complaint"}, // what sources measure is what judges look at
	"steps":                     {"checks", "deploy", "registry", "registry/dockerfile", "rollout", "rollout/analysis", "version"},

	"target/sandbox":             {"deploy", "target/sandbox/process", "target/sandbox/wire"},
	"target/sandbox/wire":        {"deploy"},
	"target/sandbox/proxy":       {"deploy"},
	"target/sandbox/process":     {"deploy"},
	"target/sandbox/ociregistry": {"deploy"},
	"target/sandbox/daemon": {
		"deploy", "target/sandbox/ociregistry", "target/sandbox/process",
		"target/sandbox/proxy", "target/sandbox/wire",
	},
	"target/sandbox/process/containertest": nil,
	// Kubernetes' libraries are large: each of its rooms has those that it needs.
	"target/kubernetes": {
		"deploy", "target/kubernetes/access", "target/kubernetes/apply", "target/kubernetes/argo", "target/kubernetes/argo/concede",
		"target/kubernetes/bundle", "target/kubernetes/drift", "target/kubernetes/feed", "target/kubernetes/objects",
		"target/kubernetes/pods", "target/kubernetes/usage", "target/kubernetes/ways",
	},
	// What a user's manifests come to needs both the readers and our own names.
	"target/kubernetes/bundle": {"deploy", "target/kubernetes/manifests", "target/kubernetes/objects"},
	// It drives somebody else's controller, and knows nothing of our own objects but
	// the names of their marks.
	"target/kubernetes/argo": {
		"deploy", "target/kubernetes/access", "target/kubernetes/argo/concede", "target/kubernetes/objects", "target/kubernetes/pods",
	},
	// What that controller writes, told by the objects alone: nobody is asked.
	"target/kubernetes/argo/concede": {"target/kubernetes/apply"},
	// What an environment of ours and one with a Rollout have in common when they are
	// compared: it asks neither of them.
	"target/kubernetes/drift":   {"deploy", "target/kubernetes/apply", "target/kubernetes/objects"},
	"target/kubernetes/objects": {"deploy"},
	"target/kubernetes/access":  {"deploy", "target/kubernetes/access/cloud"},
	// As in registry/cloud: large libraries that read the environment by themselves.
	"target/kubernetes/access/cloud": {"deploy"},
	"target/kubernetes/apply":        {"deploy"},
	"target/kubernetes/manifests":    {"deploy", "target/kubernetes/manifests/documents"},
	// The reader of YAML alone, so that fuzzing it needs no library of charts.
	"target/kubernetes/manifests/documents": {"deploy"},
	// What a pod's status means is needed by whoever drives a cluster.
	"target/kubernetes/pods": {"deploy", "target/kubernetes/feed"},
	// The API server as a carrier of connections, by the library of its streams alone.
	"target/kubernetes/ways": {"target/kubernetes/objects", "target/kubernetes/pods"},
	// Watching is the same for pods, routes and whatever else is waited for.
	"target/kubernetes/feed": nil,
	// A source of the judge's: the room metrics says what those look like.
	"target/kubernetes/usage":   {"deploy", "metrics", "rollout/analysis"},
	"target/targettest":         {"deploy"},
	"target/targettest/testapp": nil,

	"cmd/slipway":    everybody,
	"internal/house": everybody,
	// These run the binary from outside, as a user does.
	"internal/acttest":   nil,
	"internal/faulttest": nil,
	"internal/workshop":  nil,
	// It makes accounts with just the permissions that access says are needed.
	"internal/clustertest": {"target/kubernetes/access", "target/targettest"}, // and packs programs as targettest does
	// What two rooms say of expressions.
	"internal/complaint": nil,
	"demo":               {"internal/workshop"},
	"bench":              {"internal/workshop"},
	"bench/live":         {"internal/workshop"},
	// It applies objects and moves traffic by our own code, which no command does
	// alone; and the next one copies images so.
	"bench/kubernetes": {
		"deploy", "internal/workshop", "target/kubernetes", "target/kubernetes/access", "target/kubernetes/apply",
		"target/kubernetes/feed",
	},
	"bench/images": {"deploy", "internal/workshop", "registry"},
}

// testsKnow is what the tests of a room may import besides.
var testsKnow = map[string][]string{
	"action":           {"forge/githubtest"},
	"forge":            {"forge/githubtest"},
	"internal/acttest": {"config", "forge/githubtest"},
	// It wires an engine to a cluster as cmd/slipway does, and sends it users.
	"internal/faulttest": {
		"deploy", "internal/clustertest", "internal/workshop", "metrics", "rollout", "target/kubernetes", "target/kubernetes/access",
		"target/kubernetes/objects", "target/targettest",
	},
	"report": {"forge/githubtest"},
	"target/sandbox": {
		"target/sandbox/daemon", "target/sandbox/process/containertest", "target/targettest", "target/targettest/testapp",
	},
	"target/sandbox/process":   {"target/sandbox/process/containertest"},
	"target/kubernetes/access": {"internal/clustertest", "target/targettest"},
	"target/kubernetes/argo":   {"internal/clustertest", "rollout", "target/kubernetes", "target/targettest"},
	"target/kubernetes/apply":  {"internal/clustertest", "target/kubernetes/access", "target/targettest"},
	"target/kubernetes/pods":   {"internal/clustertest", "target/kubernetes/access", "target/targettest"},
	"target/kubernetes/usage":  {"internal/clustertest", "target/targettest"},
	"target/kubernetes/feed":   {"internal/clustertest", "target/kubernetes/access"},
	"target/sandbox/daemon":    {"target/targettest", "target/targettest/testapp"},
	"target/kubernetes":        {"internal/clustertest", "target/kubernetes/manifests", "target/targettest", "target/targettest/testapp"},
}

var everybody = []string{"*"}

// wrongArrows says which imports of a file the plan does not draw.
func wrongArrows(s source) []string {
	allowed, known := knows[s.room()]
	if !known {
		return []string{fmt.Sprintf("%s: the room %s is not on the plan: add it to knows in internal/house, with whom it may know", s.path, s.room())}
	}
	if s.isTest() {
		allowed = append(slices.Clone(allowed), testsKnow[s.room()]...)
		allowed = append(allowed, s.room())
	}
	var wrong []string
	for _, other := range s.ours() {
		if !slices.Contains(allowed, other) && !slices.Contains(allowed, "*") {
			wrong = append(wrong, fmt.Sprintf("%s imports %s, which %s must not know", s.path, other, s.room()))
		}
	}
	if s.room() == "deploy" && !s.isTest() {
		for _, p := range s.foreign() {
			wrong = append(wrong, fmt.Sprintf("%s imports %s: the vocabulary imports the standard library alone", s.path, p))
		}
	}
	return wrong
}

func TestRoomsKnowOnlyWhomThePlanSays(t *testing.T) {
	for _, s := range sources(t) {
		for _, wrong := range wrongArrows(s) {
			t.Error(wrong)
		}
	}
}

func TestThePlanNamesNoRoomThatIsGone(t *testing.T) {
	rooms := map[string]bool{}
	for _, s := range sources(t) {
		rooms[s.room()] = true
	}
	for room := range knows {
		if !rooms[room] {
			t.Errorf("the plan has a room %s, the house has not", room)
		}
	}
}

func TestWrongArrowsAreSeen(t *testing.T) {
	for name, c := range map[string]struct {
		path, imports string
		wrong         int
	}{
		"a sibling":                          {"report/x.go", `"` + module + `/config"`, 1},
		"a sibling in a test":                {"report/x_test.go", `"` + module + `/config"`, 1},
		"the vocabulary knows a library":     {"deploy/x.go", `"golang.org/x/sync/errgroup"`, 1},
		"the vocabulary knows a room":        {"deploy/x.go", `"` + module + `/rollout"`, 1},
		"a part of the sandbox knows one":    {"target/sandbox/proxy/x_linux.go", `"` + module + `/target/sandbox/process"`, 1},
		"a room that is not on the plan":     {"attic/x.go", `"fmt"`, 1},
		"two at once":                        {"config/x.go", "\"" + module + "/steps\"\n\t\"" + module + "/report\"", 2},
		"the vocabulary is for all":          {"report/x.go", `"` + module + `/deploy"`, 0},
		"a room's own test from outside":     {"report/x_test.go", `"` + module + `/report"`, 0},
		"the vocabulary's tests may compare": {"deploy/x_test.go", `"github.com/google/go-cmp/cmp"`, 0},
		"the wiring knows all":               {"cmd/slipway/x.go", `"` + module + `/target/sandbox/daemon"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := parse(t, c.path, "package x\n\nimport (\n\t"+c.imports+"\n)\n")
			if got := wrongArrows(s); len(got) != c.wrong {
				t.Errorf("found %d, not %d: %q", len(got), c.wrong, got)
			}
		})
	}
}

// readsEnvironment are the uses of the process's environment in a file.
func readsEnvironment(s source) []string {
	var found []string
	ast.Inspect(s.ast, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := selector.X.(*ast.Ident)
		if ok && (pkg.Name == "os" || pkg.Name == "syscall") && slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, selector.Sel.Name) {
			found = append(found, fmt.Sprintf("%s: %s.%s", s.fset.Position(n.Pos()), pkg.Name, selector.Sel.Name))
		}
		return true
	})
	return found
}

// mayReadEnvironment are the two rooms at the edge, and programs of their own.
func mayReadEnvironment(s source) bool {
	for _, room := range []string{"cmd/", "action/", "demo/", "bench/", "target/targettest/testapp/", "internal/clustertest/"} {
		if strings.HasPrefix(s.path, room) {
			return true
		}
	}
	return s.isTest()
}

func TestTheEnvironmentIsReadAtTheEdgeAlone(t *testing.T) {
	for _, s := range sources(t) {
		if mayReadEnvironment(s) {
			continue
		}
		for _, use := range readsEnvironment(s) {
			t.Errorf("%s: take it as a value; cmd and action alone read the environment", use)
		}
	}
}

func TestReadsOfTheEnvironmentAreSeen(t *testing.T) {
	s := parse(t, "report/x.go", `package x
import "os"
var a = os.Getenv("A")
func f() []string { if _, ok := os.LookupEnv("B"); ok { return nil }; return os.Environ() }
var g = os.Getpid
`)
	if got := readsEnvironment(s); len(got) != 3 {
		t.Errorf("found %d, not 3: %q", len(got), got)
	}
}

// introduced are the rooms of which some file says what they are for.
func introduced(all []source) (rooms, said map[string]bool) {
	rooms, said = map[string]bool{}, map[string]bool{}
	for _, s := range all {
		if s.isTest() {
			continue
		}
		rooms[s.room()] = true
		text := s.ast.Doc.Text()
		if strings.HasPrefix(text, "Package "+s.ast.Name.Name+" ") || strings.HasPrefix(text, "Command ") {
			said[s.room()] = true
		}
	}
	return rooms, said
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	rooms, said := introduced(sources(t))
	for room := range rooms {
		if !said[room] {
			t.Errorf("%s has no comment that begins with \"Package\" or \"Command\"", room)
		}
	}
}

func TestPackagesWithoutACommentAreSeen(t *testing.T) {
	rooms, said := introduced([]source{
		parse(t, "a/a.go", "// Package a is good.\npackage a\n"),
		parse(t, "a/b.go", "package a\n"),
		parse(t, "b/b.go", "// Something else.\npackage b\n"),
		parse(t, "c/c.go", "package c\n"),
	})
	if len(rooms) != 3 || !said["a"] || said["b"] || said["c"] {
		t.Errorf("rooms %v, said %v", rooms, said)
	}
}
