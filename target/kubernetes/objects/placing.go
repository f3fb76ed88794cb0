package objects

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// header is a match of one header of requests.
type header struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// placed are users whose side does not depend on chance: those with a header go to
// a revision.
type placed struct {
	header   header
	revision string
	// alone leaves out backends that others have put beside ours.
	alone bool
}

// placing are the users who are placed: testers, who get whatever is the
// candidate, and those who tell who they are, while two revisions share the users.
// Who comes first counts.
func (p Place) placing(t Traffic) []placed {
	g := p.Cluster.Gateway
	if g == nil {
		return nil
	}
	var all []placed
	if g.Testers != nil && t.Admitted && t.Candidate != "" {
		all = append(all, placed{header{g.Testers.Header, "Exact", g.Testers.Value}, t.Candidate, true})
	}
	w := t.Weights()
	if g.Sticky == nil || w.Live == weightScale || w.Candidate == weightScale || w.Baseline == weightScale || w.Nobody() {
		return all
	}
	d := digitsOf(g.Sticky.EndsIn)
	n := d.values()
	first := startOf(t.Candidate) % n
	candidate, baseline := part(w.Candidate, n), part(w.Baseline, n)
	if w.Live == 0 {
		baseline = n - candidate
	}
	if candidate > 0 {
		all = append(all, placed{p.identified(d, first, first+candidate), t.Candidate, false})
	}
	if baseline > 0 {
		all = append(all, placed{p.identified(d, first+n-baseline, first+n), t.Baseline, false})
	}
	if candidate+baseline < n {
		all = append(all, placed{p.identified(d, first+candidate, first+n-baseline), t.Live, false})
	}
	return all
}

// part is a weight in so many numbers.
func part(weight int64, n int) int {
	return int(math.Round(float64(weight) / weightScale * float64(n)))
}

// startOf is where the candidate's numbers begin: somewhere else for each one, so
// that it is not always the same users who are the first.
func startOf(revision string) int {
	n, err := strconv.ParseUint(sha(revision)[:6], 16, 32)
	if err != nil { // sha is hexadecimal
		return 0
	}
	return int(n)
}

// identified matches users whose number is in a range. Some gateways look for the
// expression somewhere in the header, others want it to be all of that: this one
// fits both.
func (p Place) identified(d digits, from, to int) header {
	s := p.Cluster.Gateway.Sticky
	if s.Cookie == "" {
		return header{s.Header, "RegularExpression", "^.*" + d.between(from, to) + "$"}
	}
	return header{"Cookie", "RegularExpression", `^(.*; *)?` + regexp.QuoteMeta(s.Cookie) + `=[^;]*` + d.between(from, to) + `(;.*)?$`}
}

// annotationPlaced lists the headers of the rules that place has made, by which it
// finds them again.
const annotationPlaced = "slipway.dev/placed"

// place gives a route the rules for users who are placed, in place of those that it
// made before: for each rule that sends anybody to this environment, a copy that
// asks for their header besides. They come last, since a gateway prefers what asks
// for more; among equals others' rules go first.
func (p Place) place(route *unstructured.Unstructured, rules []any, t Traffic) ([]any, error) {
	want := p.placing(t)
	var made []any
	for _, entry := range rules {
		rule, _ := entry.(map[string]any)
		if !p.sorted(rule["backendRefs"]).leads {
			continue
		}
		for _, w := range want {
			if own := p.copyFor(rule, w); own != nil {
				made = append(made, own)
			}
		}
	}
	if len(rules)+len(made) > mostRules && t.Share == 0 {
		want, made = nil, nil // the way back must not fail for those
	}
	if len(rules)+len(made) > mostRules {
		return nil, deploy.Hinted(fmt.Errorf("the route %s/%s would have %d rules, %d of them to place users, and it may have %d",
			route.GetNamespace(), route.GetName(), len(rules)+len(made), len(made), mostRules),
			"join rules that lead to %s, or leave sticky or testers out of the gateway", p.EntryName())
	}
	return append(rules, made...), p.notePlaced(route, want)
}

func (p Place) notePlaced(route *unstructured.Unstructured, all []placed) error {
	annotations := route.GetAnnotations()
	if len(all) == 0 {
		delete(annotations, annotationPlaced)
		route.SetAnnotations(annotations)
		return nil
	}
	headers := make([]header, len(all))
	for i := range all {
		headers[i] = all[i].header
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return fmt.Errorf("write down the rules of the route: %w", err)
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationPlaced] = string(text)
	route.SetAnnotations(annotations)
	return nil
}

// copyFor is a rule for users who are placed; nil where the rule asks for the same
// header already, which a match can do but once.
func (p Place) copyFor(rule map[string]any, w placed) map[string]any {
	made := (&unstructured.Unstructured{Object: rule}).DeepCopy().Object
	delete(made, "name") // which no two may share
	matches, _ := made["matches"].([]any)
	if len(matches) == 0 {
		matches = []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/"}}}
	}
	if matches = askingFor(w.header, matches); len(matches) == 0 {
		return nil
	}
	made["matches"] = matches
	now := p.sorted(made["backendRefs"])
	if w.alone {
		now.others = nil
	}
	made["backendRefs"] = append(now.filtered([]any{backend(p.Name(w.revision), now.port, weightScale)}), now.others...)
	return made
}

// askingFor are matches that ask for one more header.
func askingFor(h header, matches []any) (more []any) {
	for _, entry := range matches {
		match, is := entry.(map[string]any)
		headers, _ := match["headers"].([]any)
		if !is || slices.ContainsFunc(headers, h.sameName) {
			continue
		}
		match["headers"] = append(headers, map[string]any{"name": h.Name, "type": h.Type, "value": h.Value})
		more = append(more, match)
	}
	return more
}

// sameName reports whether a match of a header is of this one.
func (h header) sameName(entry any) bool {
	other, _ := entry.(map[string]any)
	name, _ := other["name"].(string)
	return strings.EqualFold(name, h.Name)
}

// unplaced are the rules without those that place has made: each of whose matches
// ends with a header that is written down, and which lead to this environment.
func (p Place) unplaced(route *unstructured.Unstructured, rules []any) []any {
	var written []header
	text := route.GetAnnotations()[annotationPlaced]
	if text == "" || json.Unmarshal([]byte(text), &written) != nil {
		return rules
	}
	return slices.DeleteFunc(rules, func(entry any) bool {
		rule, _ := entry.(map[string]any)
		matches, _ := rule["matches"].([]any)
		return len(matches) > 0 && p.sorted(rule["backendRefs"]).leads &&
			!slices.ContainsFunc(matches, func(match any) bool { return !endsWith(match, written) })
	})
}

// endsWith reports whether the last header of a match is among those.
func endsWith(entry any, among []header) bool {
	match, _ := entry.(map[string]any)
	headers, _ := match["headers"].([]any)
	if len(headers) == 0 {
		return false
	}
	last, _ := headers[len(headers)-1].(map[string]any)
	name, _ := last["name"].(string)
	kind, _ := last["type"].(string)
	value, _ := last["value"].(string)
	return slices.Contains(among, header{name, kind, value})
}
