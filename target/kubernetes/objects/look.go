package objects

import (
	"crypto/rand"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// LookHeader leads a request at ProbePath to one revision, whoever has the users:
// Slipway looks by it whether the gateway reaches a revision that is about to get
// some. Its value is a LookValue.
const LookHeader = "Slipway-Look"

// Keyed is the traffic with a key, by which revisions can be asked for at
// ProbePath, while there are others than the live one; without any after that. A
// key is 26 random characters and holds for one rollout, so that nobody else asks
// by it: it stands in the route alone.
func (t Traffic) Keyed() Traffic {
	switch {
	case t.Candidate == "" && t.Baseline == "" && t.Standby == "":
		t.Key = ""
	case t.Key == "":
		t.Key = rand.Text()
	}
	return t
}

// LookValue is what asks for a revision.
func (t Traffic) LookValue(revision string) string { return t.Key + "-" + revision }

// looks are the rules by which revisions are asked for, each of which leads to one
// of them, by the port. They ask for more than the rule that the gateway answers
// itself, so that it prefers them.
func (p Place) looks(t Traffic, port int64) []any {
	if t.Key == "" {
		return nil
	}
	var all []any
	for _, id := range []string{t.Live, t.Candidate, t.Baseline, t.Standby} {
		if id == "" {
			continue
		}
		all = append(all, map[string]any{
			"matches": []any{map[string]any{
				"path":    map[string]any{"type": "Exact", "value": ProbePath},
				"headers": []any{map[string]any{"name": LookHeader, "type": "Exact", "value": t.LookValue(id)}},
			}},
			"backendRefs": []any{backend(p.Name(id), port, weightScale)},
		})
	}
	return all
}

// look gives a route the rules by which revisions are asked for, where all of them
// have room.
func (p Place) look(rules []any, t Traffic) []any {
	made := p.looks(t, p.portIn(rules))
	if len(rules)+len(made) > mostRules {
		return rules
	}
	return append(rules, made...)
}

// portIn is the port by which the first rule that leads to this environment does.
func (p Place) portIn(rules []any) int64 {
	for _, entry := range rules {
		rule, _ := entry.(map[string]any)
		if now := p.sorted(rule["backendRefs"]); now.leads {
			return now.port
		}
	}
	return ServicePort
}

// unlooked are the rules without those that look has made.
func unlooked(rules []any) []any {
	var kept []any
	for _, entry := range rules {
		if lookIn(entry) == "" {
			kept = append(kept, entry)
		}
	}
	return kept
}

// lookIn is the LookValue that a rule asks for; empty for another rule.
func lookIn(entry any) string {
	rule, _ := entry.(map[string]any)
	matches, _ := rule["matches"].([]any)
	if len(matches) != 1 {
		return ""
	}
	match, _ := matches[0].(map[string]any)
	headers, _ := match["headers"].([]any)
	at, _, _ := unstructured.NestedString(match, "path", "value")
	if at != ProbePath || len(headers) != 1 {
		return ""
	}
	h, _ := headers[0].(map[string]any)
	name, _ := h["name"].(string)
	value, _ := h["value"].(string)
	if !strings.EqualFold(name, LookHeader) {
		return ""
	}
	return value
}

// Looks reports whether a route has a rule by which a revision is asked for.
func Looks(route *unstructured.Unstructured, t Traffic, revision string) bool {
	if t.Key == "" {
		return false
	}
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, entry := range rules {
		if lookIn(entry) == t.LookValue(revision) {
			return true
		}
	}
	return false
}
