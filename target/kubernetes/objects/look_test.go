package objects_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

const lookKey = "KEY"

// rulesOf are those of a route.
func rulesOf(t *testing.T, route *unstructured.Unstructured) []any {
	t.Helper()
	rules, _, err := unstructured.NestedSlice(route.Object, "spec", "rules")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// Each revision that there is can be asked for, by a key of this rollout, while
// there are others than the live one.
func TestRevisionsAreAskedFor(t *testing.T) {
	p := place()
	route := routeOf(t, p, objects.Traffic{Live: liveID})
	alone := route.DeepCopy()
	traffic := objects.Traffic{Live: liveID, Baseline: baselineID}.Begin(newID).Keyed()
	other := objects.Traffic{Live: liveID}.Begin(newID).Keyed()
	if len(traffic.Key) < 26 || traffic.Key == other.Key || traffic.Keyed() != traffic {
		t.Errorf("keys are %q, of another rollout %q, and asked for again %q", traffic.Key, other.Key, traffic.Keyed().Key)
	}
	if err := p.Redirect(route, traffic); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{liveID, newID, baselineID} {
		if !objects.Looks(route, traffic, id) || objects.Looks(route, other, id) {
			t.Errorf("%s is not asked for by the key of this rollout alone", id)
		}
	}
	if objects.Looks(route, traffic, "cccccccccccc") {
		t.Error("one that is not there can be asked for")
	}
	if p.Adrift(route, traffic) {
		t.Error("nobody has changed it")
	}
	switched := traffic.Drop(baselineID).Switch(newID).Keyed()
	if err := p.Redirect(route, switched); err != nil {
		t.Fatal(err)
	}
	if !objects.Looks(route, switched, liveID) || switched.Standby != liveID || switched.Key != traffic.Key {
		t.Errorf("what was live cannot be asked for: %+v", switched)
	}
	end := switched.Switch(liveID).Drop(newID).Keyed()
	if err := p.Redirect(route, end); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alone.Object, route.Object); diff != "" {
		t.Errorf("something is left over:\n%s", diff)
	}
}

// Who stands by and who is asked for changes no user's way.
func TestWaysOfUsers(t *testing.T) {
	p := place()
	live := objects.Traffic{Live: liveID}
	for _, c := range []struct {
		traffic objects.Traffic
		same    bool
	}{
		{live, true},
		{live.Begin(newID).Keyed(), true},
		{objects.Traffic{Live: liveID, Standby: newID, Key: lookKey}, true},
		{live.Begin(newID).Split(newID, 1, 0), false},
		{live.Switch(newID), false},
	} {
		if p.SameWays(live, c.traffic) != c.same || (p.Mark(live) == p.Mark(c.traffic)) != (c.traffic == live) {
			t.Errorf("%+v sends users alike: %t", c.traffic, !c.same)
		}
		if p.MarksWays(p.Mark(c.traffic), live) != c.same || p.MarksWays("", c.traffic) || p.MarksWays("t-0123.slipway.invalid", c.traffic) {
			t.Errorf("the mark of %+v is taken for another", c.traffic)
		}
	}
}

// A rule by which a revision with all users is asked for is not what sends them.
func TestAskingIsNotSending(t *testing.T) {
	p := place()
	traffic := objects.Traffic{Live: liveID, Candidate: newID, Share: 100, Key: lookKey}
	route := routeOf(t, p, traffic)
	rules := rulesOf(t, route)
	refs := rules[0].(map[string]any)["backendRefs"].([]any)
	refs[0].(map[string]any)["name"] = p.Name(liveID)
	if err := unstructured.SetNestedSlice(route.Object, rules, "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	if !p.Adrift(route, traffic) {
		t.Error("somebody has sent all users elsewhere, and nobody says so")
	}
}

// Where somebody has removed the rule that the gateway answers, and where there is
// no room for all, nobody is asked for. Others' rules stay in any case.
func TestAskingNeedsRoomAndAnAnswer(t *testing.T) {
	p := place()
	traffic := objects.Traffic{Live: liveID, Candidate: newID, Key: lookKey}
	theirs := func(n int) map[string]any {
		return map[string]any{
			"matches": []any{map[string]any{
				"path":    map[string]any{"type": "Exact", "value": objects.ProbePath},
				"headers": []any{map[string]any{"name": fmt.Sprintf("X-Theirs-%d", n), "type": "Exact", "value": "1"}},
			}},
			"backendRefs": []any{map[string]any{"name": "theirs", "port": int64(80)}},
		}
	}
	for name, c := range map[string]struct {
		unmarked bool
		others   int
		want     bool
	}{
		"as it is":     {false, 0, true},
		"with others":  {false, 12, true},
		"without room": {false, 13, false},
		"unmarked":     {true, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			route := routeOf(t, p, objects.Traffic{Live: liveID})
			rules := rulesOf(t, route)
			if c.unmarked {
				rules = rules[:1]
			}
			for n := range c.others {
				rules = append(rules, theirs(n))
			}
			if err := unstructured.SetNestedSlice(route.Object, rules, "spec", "rules"); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a write that is repeated comes to the same
				if err := p.Redirect(route, traffic); err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range []string{liveID, newID} {
				if got := objects.Looks(route, traffic, id); got != c.want {
					t.Errorf("%s is asked for: %t, want %t", id, got, c.want)
				}
			}
			text := fmt.Sprint(rulesOf(t, route))
			if n := strings.Count(text, "X-Theirs-"); n != c.others {
				t.Errorf("of %d rules of others there are %d", c.others, n)
			}
		})
	}
}

// The port is the one by which the route leads to the app.
func TestRevisionsAreAskedForByThePortOfTheRoute(t *testing.T) {
	p := place()
	traffic := objects.Traffic{Live: liveID, Candidate: newID, Key: lookKey}
	written := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": []any{
		map[string]any{"backendRefs": []any{map[string]any{"name": p.EntryName(), "port": int64(8443)}}},
	}}}}
	route, err := p.OwnRoute(written, traffic)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, entry := range rulesOf(t, route) {
		rule := entry.(map[string]any)
		refs, _ := rule["backendRefs"].([]any)
		for _, ref := range refs {
			asked++
			if ref.(map[string]any)["port"] != int64(8443) {
				t.Errorf("a rule leads to another port: %v", rule)
			}
		}
	}
	if asked != 3 || !objects.Looks(route, traffic, newID) {
		t.Errorf("it leads to %d backends: %v", asked, route.Object)
	}
}
