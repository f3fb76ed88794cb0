package objects_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// The revisions of the tests.
const (
	liveID     = "aaaaaaaaaaaa"
	newID      = "bbbbbbbbbbbb"
	baselineID = liveID + "-baseline"
)

// sticky is a place that keeps users by a cookie, or by a header.
func sticky(s deploy.Sticky) objects.Place {
	p := place()
	p.Cluster.Gateway.Sticky = &s
	return p
}

// gateway decides as one does that takes the first rule of those that ask for a
// header, where any does: which revision gets a request with these headers. A rule
// with several backends is chance, which is "".
func gateway(t *testing.T, p objects.Place, route *unstructured.Unstructured, headers map[string]string) string {
	t.Helper()
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, entry := range rules {
		rule := entry.(map[string]any)
		match := rule["matches"].([]any)[0].(map[string]any)
		list, _ := match["headers"].([]any)
		refs, _ := rule["backendRefs"].([]any)
		if len(list) == 0 {
			continue
		}
		h := list[0].(map[string]any)
		value, has := headers[h["name"].(string)]
		met := has && value == h["value"]
		if h["type"] == "RegularExpression" {
			met = has && compiled(h["value"].(string)).MatchString(value)
		}
		if !met {
			continue
		}
		if len(refs) != 1 {
			t.Fatalf("a placed user is sent to %v", refs)
		}
		name, _ := refs[0].(map[string]any)["name"].(string)
		return strings.TrimPrefix(name, p.Base()+"-")
	}
	return ""
}

// expressions are compiled once.
var expressions = map[string]*regexp.Regexp{}

func compiled(text string) *regexp.Regexp {
	if expressions[text] == nil {
		expressions[text] = regexp.MustCompile(text)
	}
	return expressions[text]
}

// Every value is on one side, as many as the shares say, and nobody comes back
// while they grow.
func TestUsersStayOnTheirSide(t *testing.T) {
	const n = 4096
	p := sticky(deploy.Sticky{Cookie: "sid"})
	route := routeOf(t, p, objects.Traffic{Live: liveID, Candidate: newID, Baseline: baselineID})
	before := map[int]string{}
	for _, share := range [][2]deploy.Percent{{10, 10}, {20, 20}, {50, 50}, {75, 25}, {99, 1}} {
		traffic := objects.Traffic{Live: liveID, Baseline: baselineID}.Split(newID, share[0], share[1])
		if err := p.Redirect(route, traffic); err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for i := range n {
			side := gateway(t, p, route, map[string]string{"Cookie": fmt.Sprintf("a=b; sid=x%03x; c=d", i)})
			count[side]++
			was := before[i]
			if was == newID && side != newID || was == baselineID && side == liveID || side == "" {
				t.Fatalf("at %v the user %03x goes from %q to %q", share, i, was, side)
			}
			before[i] = side
		}
		for side, want := range map[string]deploy.Percent{newID: share[0], baselineID: share[1], liveID: 100 - share[0] - share[1]} {
			if got := deploy.Percent(100 * float64(count[side]) / n); got < want-0.02 || got > want+0.02 {
				t.Errorf("at %v %s has %s of the users, want %s", share, side, got, want)
			}
		}
	}
	for _, traffic := range []objects.Traffic{
		{Live: liveID, Candidate: newID, Share: 100}, {Live: liveID, Candidate: newID}, {Live: newID}, {},
	} {
		if err := p.Redirect(route, traffic); err != nil {
			t.Fatal(err)
		}
		if got := gateway(t, p, route, map[string]string{"Cookie": "sid=000"}); got != "" {
			t.Errorf("%+v: users are placed at %s, and one side has all", traffic, got)
		}
	}
	if fresh := routeOf(t, p, objects.Traffic{}); cmp.Diff(fresh.Object, route.Object) != "" {
		t.Errorf("something is left over:\n%s", cmp.Diff(fresh.Object, route.Object))
	}
}

// It is not the same users who come first in each release.
func TestEachCandidateBeginsWithOtherUsers(t *testing.T) {
	p := sticky(deploy.Sticky{Cookie: "sid"})
	first := map[string]bool{}
	for _, id := range []string{newID, "cccccccccccc", "dddddddddddd", "eeeeeeeeeeee"} {
		route := routeOf(t, p, objects.Traffic{Live: liveID, Candidate: id, Share: 5})
		met := ""
		for i := range 4096 {
			if gateway(t, p, route, map[string]string{"Cookie": fmt.Sprintf("sid=%03x", i)}) == id {
				met += fmt.Sprint(i, " ")
			}
		}
		first[met] = true
	}
	if len(first) != 4 {
		t.Errorf("four candidates begin with %d groups of users", len(first))
	}
}

func TestEndsOfValues(t *testing.T) {
	const half = deploy.Percent(50)
	for _, c := range []struct {
		sticky deploy.Sticky
		header string
		// known are values that place a user, and strange ones that do not.
		known, strange []string
	}{
		{
			deploy.Sticky{Cookie: "sid"},
			"Cookie",
			[]string{"sid=00000ABC", "sid=abc", "x=y; sid=abc", "x=y;sid=abc; z=1", "sid=abc;"},
			[]string{"", "sid=", "sid=ab", "sid=xyz", "notsid=abc", "sid=abcz", "other=sid=abc", "side=abc"},
		},
		{
			deploy.Sticky{Header: "X-User", EndsIn: deploy.EndsInDecimal},
			"X-User",
			[]string{"0000", "user-123456"},
			[]string{"", "999", "12a4", "1234 "},
		},
		{
			deploy.Sticky{Cookie: "__Host-s.1", EndsIn: deploy.EndsInBase64},
			"Cookie",
			[]string{"__Host-s.1=ab", "__Host-s.1=+/==", "__Host-s.1=-_%3D", "__Host-s.1=s%3Aabc.A1"},
			[]string{"__Host-s.1=", "__Host-s.1=a", "__Host-sx1=ab"},
		},
	} {
		p := sticky(c.sticky)
		route := routeOf(t, p, objects.Traffic{Live: liveID, Candidate: newID, Share: half})
		for _, value := range c.known {
			if gateway(t, p, route, map[string]string{c.header: value}) == "" {
				t.Errorf("%+v: %s is not known", c.sticky, value)
			}
		}
		for _, value := range c.strange {
			if got := gateway(t, p, route, map[string]string{c.header: value}); got != "" {
				t.Errorf("%+v: %q is a user of %s", c.sticky, value, got)
			}
		}
	}
}

// Testers meet whatever is the candidate, and nobody meets it by the header when
// there is none.
func TestTestersMeetTheCandidate(t *testing.T) {
	p := sticky(deploy.Sticky{Cookie: "sid"})
	p.Cluster.Gateway.Testers = &deploy.Testers{Header: "X-Canary", Value: "always"}
	route := routeOf(t, p, objects.Traffic{Live: liveID})
	tester := map[string]string{"X-Canary": "always", "Cookie": "sid=000"}
	for _, c := range []struct {
		traffic objects.Traffic
		want    string
	}{
		{objects.Traffic{Live: liveID}, ""},
		{objects.Traffic{Live: liveID}.Begin(newID), ""}, // it is not ready yet
		{objects.Traffic{Live: liveID}.Begin(newID).Admit(newID), newID},
		{objects.Traffic{Live: liveID}.Begin(newID).Admit(newID).Split(newID, 0.01, 0), newID},
		{objects.Traffic{Live: liveID}.Begin(newID).Admit(newID).Begin("cccccccccccc"), ""},
		{objects.Traffic{}.Begin(newID).Admit(newID), newID},
		{objects.Traffic{Live: liveID}.Begin(newID).Admit(newID).Drop(newID), ""},
		{objects.Traffic{Live: liveID}.Begin(newID).Admit(newID).Switch(newID), ""},
		{objects.Traffic{Live: newID}, ""},
	} {
		mark := p.Mark(c.traffic)
		if err := p.Redirect(route, c.traffic); err != nil {
			t.Fatal(err)
		}
		if got := gateway(t, p, route, tester); got != c.want {
			t.Errorf("%+v: testers get %q", c.traffic, got)
		}
		if got := gateway(t, p, route, map[string]string{"X-Canary": "never"}); got != "" {
			t.Errorf("%+v: who has another value gets %q", c.traffic, got)
		}
		if without := c.traffic.Drop(newID); c.traffic.Admitted && mark == p.Mark(without) {
			t.Errorf("%+v: nobody sees whether the gateway lets testers in", c.traffic)
		}
	}
}

// Rules of others stay, those of the environment keep what they ask for and do,
// and what placed users is gone when nobody is placed any more, whatever the
// configuration says then.
func TestPlacingLeavesWhatIsNotOurs(t *testing.T) {
	p := place()
	p.Cluster.Gateway.Testers = &deploy.Testers{Header: "X-Canary", Value: "always"}
	route := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(othersRoute), &route.Object); err != nil {
		t.Fatal(err)
	}
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	own := rules[1].(map[string]any)
	own["name"] = "main"
	own["matches"] = []any{
		map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/"}, "headers": []any{map[string]any{"name": "x-canary", "type": "Exact", "value": "sometimes"}}},
		map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/b"}, "headers": []any{map[string]any{"name": "X-Other", "type": "Exact", "value": "1"}}},
	}
	if err := unstructured.SetNestedSlice(route.Object, rules, "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	before := route.DeepCopy()
	if err := p.Redirect(before, objects.Traffic{Live: liveID}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the work done
		if err := p.Redirect(route, objects.Traffic{Live: liveID, Candidate: newID, Admitted: true}); err != nil {
			t.Fatal(err)
		}
		rules, _, _ = unstructured.NestedSlice(route.Object, "spec", "rules")
		if len(rules) != 3 {
			t.Fatalf("%d rules: %v", len(rules), rules)
		}
	}
	want := `
matches:
- path: {type: PathPrefix, value: /b}
  headers: [{name: X-Other, type: Exact, value: "1"}, {name: X-Canary, type: Exact, value: always}]
filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: "1"}]}}]
timeouts: {request: 5s}
backendRefs: [{group: "", kind: Service, name: hello-production-bbbbbbbbbbbb, port: 80, weight: 10000}]
`
	if diff := cmp.Diff(canonical(t, want), canonical(t, rules[2])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.Cluster.Gateway.Testers.Header = "X-Other" // slipway.yaml was changed
	if err := p.Redirect(route, objects.Traffic{Live: liveID}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Object, route.Object); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A route has room for so many rules: more are refused on the way forward, and the
// way back does without them.
func TestTooManyRules(t *testing.T) {
	p := sticky(deploy.Sticky{Cookie: "sid"})
	p.Cluster.Gateway.Testers = &deploy.Testers{Header: "X-Canary", Value: "always"}
	route := routeOf(t, p, objects.Traffic{Live: liveID})
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for len(rules) < 10 {
		rules = append(rules, (&unstructured.Unstructured{Object: rules[0].(map[string]any)}).DeepCopy().Object)
	}
	if err := unstructured.SetNestedSlice(route.Object, rules, "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	err := p.Redirect(route, objects.Traffic{Live: liveID, Candidate: newID, Share: 10, Admitted: true})
	if err == nil || deploy.HintOf(err) == "" {
		t.Errorf("want an error with a hint, got %v", err)
	}
	if err := p.Redirect(route, objects.Traffic{Live: liveID, Candidate: newID, Admitted: true}); err != nil {
		t.Errorf("the way back: %v", err)
	}
}
