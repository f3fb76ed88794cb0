package objects

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// Traffic is who has the users. It is kept in annotations of the very object
// that moves them, the route or without a gateway the Service, so that one
// write changes both and nobody reads one without the other.
type Traffic struct {
	// Live, Candidate and Baseline are IDs of revisions, empty where there is
	// none.
	Live, Candidate, Baseline string
	// Share is what the candidate has of the users, and BaselineShare what the
	// baseline has; together they are at most 100, and live has the rest.
	Share, BaselineShare deploy.Percent
	// Admitted says that the candidate is ready for testers.
	Admitted bool
	// Standby was live before, and runs on until it is removed.
	Standby string
	// Key is what revisions are asked for by; see Keyed.
	Key string
}

// The annotations of a Traffic, and the host name that was written last.
const (
	annotationLive          = "slipway.dev/live"
	annotationCandidate     = "slipway.dev/candidate"
	annotationShare         = "slipway.dev/share"
	annotationBaseline      = "slipway.dev/baseline"
	annotationBaselineShare = "slipway.dev/baseline-share"
	annotationTesters       = "slipway.dev/testers"
	annotationStandby       = "slipway.dev/standby"
	annotationKey           = "slipway.dev/key"
	annotationHost          = "slipway.dev/host"
	annotationGateway       = "slipway.dev/gateway"
)

// ReadTraffic takes it from annotations.
func ReadTraffic(annotations map[string]string) (t Traffic, err error) {
	t.Live, t.Candidate, t.Baseline = annotations[annotationLive], annotations[annotationCandidate], annotations[annotationBaseline]
	t.Admitted = annotations[annotationTesters] == admitted
	t.Standby, t.Key = annotations[annotationStandby], annotations[annotationKey]
	if t.Share, err = readShare(annotations, annotationShare); err != nil {
		return t, err
	}
	t.BaselineShare, err = readShare(annotations, annotationBaselineShare)
	return t, err
}

func readShare(annotations map[string]string, key string) (deploy.Percent, error) {
	text := annotations[key]
	if text == "" {
		return 0, nil
	}
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share >= 0 && share <= 100) {
		return 0, fmt.Errorf("annotation %s: %q is no share", key, text)
	}
	return deploy.Percent(share), nil
}

// admitted is what is written where testers get the candidate.
const admitted = "admitted"

// Annotate writes it into annotations, which may be nil, and gives them back. Of a
// baseline, of testers and of what stands by they speak only while there are any.
func (t Traffic) Annotate(annotations map[string]string) map[string]string {
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationLive], annotations[annotationCandidate] = t.Live, t.Candidate
	annotations[annotationShare] = writeShare(t.Share)
	if annotations[annotationTesters] = admitted; !t.Admitted {
		delete(annotations, annotationTesters)
	}
	for key, value := range map[string]string{annotationStandby: t.Standby, annotationKey: t.Key} {
		if annotations[key] = value; value == "" {
			delete(annotations, key)
		}
	}
	if t.Baseline == "" {
		delete(annotations, annotationBaseline)
		delete(annotations, annotationBaselineShare)
		return annotations
	}
	annotations[annotationBaseline], annotations[annotationBaselineShare] = t.Baseline, writeShare(t.BaselineShare)
	return annotations
}

func writeShare(p deploy.Percent) string { return strconv.FormatFloat(float64(p), 'f', -1, 64) }

// Begin makes a revision the candidate, unless it is live.
func (t Traffic) Begin(id string) Traffic {
	if t.Live != id && t.Candidate != id {
		t.Candidate, t.Share, t.BaselineShare, t.Admitted = id, 0, 0, false
	}
	return t
}

// Admit lets testers to a revision while it is the candidate.
func (t Traffic) Admit(id string) Traffic {
	t.Admitted = t.Admitted || t.Candidate == id
	return t
}

// BeginBaseline makes a revision the baseline, without users at first.
func (t Traffic) BeginBaseline(id string) Traffic {
	if t.Baseline != id {
		t.Baseline, t.BaselineShare = id, 0
	}
	return t
}

// Split gives the candidate and the baseline their shares of the users.
func (t Traffic) Split(candidate string, share, baseline deploy.Percent) Traffic {
	t.Candidate, t.Share, t.BaselineShare = candidate, share, baseline
	return t
}

// Switch gives a revision all users. A baseline stays without any, and what was
// live stands by.
func (t Traffic) Switch(id string) Traffic {
	if t.Live != id {
		t.Standby = t.Live
	}
	return Traffic{Live: id, Baseline: t.Baseline, Standby: t.Standby, Key: t.Key}
}

// Drop takes a revision out.
func (t Traffic) Drop(id string) Traffic {
	switch id {
	case t.Live:
		t.Live, t.Share, t.BaselineShare = "", 0, 0
	case t.Candidate:
		t.Candidate, t.Share, t.BaselineShare, t.Admitted = "", 0, 0, false
	case t.Baseline:
		t.Baseline, t.BaselineShare = "", 0
	case t.Standby:
		t.Standby = ""
	}
	return t
}

// Adds reports whether this is what was before and one more revision at most:
// nobody has left, and nobody has more users or fewer.
func (t Traffic) Adds(before Traffic) bool {
	if before.Candidate == "" {
		before.Candidate = t.Candidate
	}
	if before.Baseline == "" {
		before.Baseline = t.Baseline
	}
	before.Key = t.Key
	return t == before
}

// Serving are the revisions that get any requests: of users, or of testers.
func (t Traffic) Serving() []string {
	var all []string
	w := t.Weights()
	if w.Live > 0 {
		all = append(all, t.Live)
	}
	if w.Candidate > 0 || t.Admitted && t.Candidate != "" {
		all = append(all, t.Candidate)
	}
	if w.Baseline > 0 {
		all = append(all, t.Baseline)
	}
	return all
}

// weightScale is the sum of weights: shares are exact to a ten thousandth.
const weightScale = 10000

// Weights are those of the three, to a sum of 10,000; all are zero where nobody
// is to get users.
type Weights struct{ Live, Candidate, Baseline int64 }

// Nobody reports whether nobody gets users.
func (w Weights) Nobody() bool { return w == Weights{} }

// Weights are the shares as weights. Without a live revision the candidate gets
// all that there is.
func (t Traffic) Weights() Weights {
	shared := t.Candidate != "" && t.Share > 0
	switch {
	case t.Live == "" && shared:
		return Weights{Candidate: weightScale}
	case t.Live == "":
		return Weights{}
	}
	var w Weights
	if shared {
		w.Candidate = weight(t.Share)
	}
	if t.Baseline != "" {
		w.Baseline = min(weight(t.BaselineShare), weightScale-w.Candidate)
	}
	w.Live = weightScale - w.Candidate - w.Baseline
	return w
}

func weight(p deploy.Percent) int64 { return int64(math.Round(p.Fraction() * weightScale)) }

// RouteKind is the kind of routes, and Routes how requests name them.
const (
	RouteKind    = "HTTPRoute"
	RouteVersion = "gateway.networking.k8s.io/v1"
)

// backends are where a rule of the route sends users, each by the same port: the
// revisions by weight, or the entry, so that the rule can be found again. Behind
// that is nobody, or whoever was there before Slipway.
func (p Place) backends(t Traffic, port int64) []any {
	var all []any
	w := t.Weights()
	for _, side := range []struct {
		revision string
		weight   int64
	}{{t.Live, w.Live}, {t.Candidate, w.Candidate}, {t.Baseline, w.Baseline}} {
		if side.weight > 0 {
			all = append(all, backend(p.Name(side.revision), port, side.weight))
		}
	}
	if len(all) == 0 {
		return []any{backend(p.EntryName(), port, weightScale)}
	}
	return all
}

// backend is a Service in a rule, with all that the cluster would add.
func backend(name string, port, weight int64) map[string]any {
	return map[string]any{"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}
}

// Route is the environment's route while nobody has touched it.
func (p Place) Route(t Traffic) (*unstructured.Unstructured, error) {
	route := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": RouteVersion,
		"kind":       RouteKind,
		"spec": map[string]any{
			"parentRefs": []any{parentOf(*p.Cluster.Gateway)},
			"hostnames":  []any{p.Host()},
			"rules": []any{
				map[string]any{
					"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/"}}},
					"backendRefs": p.backends(t, ServicePort),
				},
				p.mark(t),
			},
		},
	}}
	route.SetName(p.Base())
	route.SetNamespace(p.Namespace)
	route.SetLabels(p.Labels())
	route.SetAnnotations(map[string]string{annotationHost: p.Host(), annotationGateway: p.gatewayName()})
	return route, p.Redirect(route, t)
}

// ProbePath is answered by the gateway itself, with a redirection to the Mark of
// the traffic that it has in force. Without it nobody could say when a gateway
// has followed: its status tells what it has read.
const ProbePath = "/.well-known/slipway"

// mark is the rule by which the gateway answers at ProbePath.
func (p Place) mark(t Traffic) map[string]any {
	return map[string]any{
		"matches": []any{map[string]any{"path": map[string]any{"type": "Exact", "value": ProbePath}}},
		"filters": []any{map[string]any{
			"type":            "RequestRedirect",
			"requestRedirect": map[string]any{"hostname": p.Mark(t), "statusCode": int64(302)},
		}},
	}
}

// MarkDomain is what each Mark ends with.
const MarkDomain = ".slipway.invalid"

// Mark is a host name that is nobody's and tells one traffic from another. It
// does not tell what they are.
func (p Place) Mark(t Traffic) string {
	mark := p.markOfWays(t)
	if looks := p.looks(t, ServicePort); len(looks) > 0 {
		mark += "-" + sha(fmt.Sprint(looks))
	}
	return mark + MarkDomain
}

// MarksWays reports whether a Mark is of a traffic that sends all users as this one
// does, whoever may be asked for besides.
func (p Place) MarksWays(mark string, t Traffic) bool {
	rest, ours := strings.CutPrefix(mark, p.markOfWays(t))
	return ours && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "-"))
}

func (p Place) markOfWays(t Traffic) string { return "t-" + sha(p.ways(t)) }

// ways tell by which rules users are sent to whom.
func (p Place) ways(t Traffic) string {
	what := fmt.Sprint(p.backends(t, ServicePort))
	if placing := p.placing(t); len(placing) > 0 {
		what += fmt.Sprint(placing)
	}
	return what
}

// SameWays reports whether two traffics send all users alike.
func (p Place) SameWays(a, b Traffic) bool { return p.ways(a) == p.ways(b) }

// remark follows the traffic in the rule that answers at ProbePath, and reports
// whether there is one. Where somebody has removed that rule, it stays away.
func (p Place) remark(rules []any, t Traffic) (marked bool) {
	for _, entry := range rules {
		rule, _ := entry.(map[string]any)
		filters, _ := rule["filters"].([]any)
		matches, _ := rule["matches"].([]any)
		if len(filters) != 1 || len(matches) != 1 {
			continue
		}
		match, _ := matches[0].(map[string]any)
		if at, _, _ := unstructured.NestedString(match, "path", "value"); at != ProbePath {
			continue
		}
		filter, _ := filters[0].(map[string]any)
		if redirect, is := filter["requestRedirect"].(map[string]any); is {
			redirect["hostname"] = p.Mark(t)
			marked = true
		}
	}
	return marked
}

// Redirect moves the users of a route: each rule that sends anybody to one of
// this environment's revisions gets the weights, in place of those refs alone.
// Other rules, other backends in the same rule, filters, matches and all other
// fields stay as they are. A rule must be there, else it is an error: then
// somebody has taken the route for something else.
func (p Place) Redirect(route *unstructured.Unstructured, t Traffic) error {
	if err := p.lead(route, t); err != nil {
		return err
	}
	p.rehost(route)
	p.attach(route)
	route.SetAnnotations(t.Annotate(route.GetAnnotations()))
	return nil
}

func (p Place) lead(route *unstructured.Unstructured, t Traffic) error {
	rules, _, err := unstructured.NestedSlice(route.Object, "spec", "rules")
	if err != nil {
		return fmt.Errorf("route %s/%s: %w", route.GetNamespace(), route.GetName(), err)
	}
	rules = p.unplaced(route, unlooked(rules))
	moved := 0
	for i := range rules {
		rule, isMap := rules[i].(map[string]any)
		if !isMap {
			continue
		}
		if refs, changed := p.replace(rule["backendRefs"], t); changed {
			rule["backendRefs"] = refs
			moved++
		}
	}
	if moved == 0 {
		return deploy.Hinted(fmt.Errorf("no rule of the route %s/%s sends users to %s any more", route.GetNamespace(), route.GetName(), p.EntryName()),
			"somebody has changed it: give one of its rules the backend %s, or remove the route, and it is made anew", p.EntryName())
	}
	marked := p.remark(rules, t)
	if rules, err = p.place(route, rules, t); err != nil {
		return err
	}
	if marked {
		rules = p.look(rules, t)
	}
	if err := unstructured.SetNestedSlice(route.Object, rules, "spec", "rules"); err != nil {
		return fmt.Errorf("route %s/%s: %w", route.GetNamespace(), route.GetName(), err)
	}
	return nil
}

// mostRules is how many a route may have.
// Source: Gateway API 1.4, HTTPRouteSpec.rules.
const mostRules = 16

// OwnRoute is a user's own route as it is applied: as they wrote it, with the traffic
// that there is in the rules that lead to their Service, and one more rule, which
// answers at ProbePath, where there is room for it.
func (p Place) OwnRoute(written *unstructured.Unstructured, t Traffic) (*unstructured.Unstructured, error) {
	route := written.DeepCopy()
	rules, _, err := unstructured.NestedSlice(route.Object, "spec", "rules")
	if err != nil {
		return nil, fmt.Errorf("route %s: %w", route.GetName(), err)
	}
	for _, entry := range rules {
		if rule, is := entry.(map[string]any); is {
			p.scale(rule)
		}
	}
	if len(rules) < mostRules {
		rules = append(rules, p.mark(t))
	}
	if err := unstructured.SetNestedSlice(route.Object, rules, "spec", "rules"); err != nil {
		return nil, fmt.Errorf("route %s: %w", route.GetName(), err)
	}
	return route, p.lead(route, t)
}

// scale raises the weights of a rule's other backends, so that they are to the
// revisions' as they were to the Service's.
func (p Place) scale(rule map[string]any) {
	refs, _ := rule["backendRefs"].([]any)
	own := int64(0)
	for _, entry := range refs {
		if ref, is := entry.(map[string]any); is && p.leadsHere(ref) {
			own += weightOf(ref)
		}
	}
	if own == 0 {
		return
	}
	for _, entry := range refs {
		if ref, is := entry.(map[string]any); is && !p.leadsHere(ref) {
			ref["weight"] = min(weightOf(ref)*weightScale/own, mostWeight)
		}
	}
}

// mostWeight is the largest of a backend.
// Source: Gateway API 1.4, BackendRef.weight.
const mostWeight = 1_000_000

// weightOf is a backend's, which is 1 where nothing is said.
func weightOf(ref map[string]any) int64 {
	switch w := ref["weight"].(type) {
	case int64:
		return w
	case float64:
		return int64(w)
	}
	return 1
}

// leadsHere reports whether a backend is this environment's.
func (p Place) leadsHere(ref map[string]any) bool {
	name, _ := ref["name"].(string)
	namespace, _ := ref["namespace"].(string)
	return p.Own(name) && (namespace == "" || namespace == p.Namespace)
}

// replace puts the revisions in place of those that a rule has now. Filters of a
// single backend go along to those that come in its place.
func (p Place) replace(refs any, t Traffic) ([]any, bool) {
	now := p.sorted(refs)
	if !now.leads {
		return nil, false
	}
	return append(now.filtered(p.backends(t, now.port)), now.others...), true
}

// sorted are the backends of a rule.
type sorted struct {
	// leads says that there are any of this environment's; port is theirs, and
	// filters those of the first that has any.
	leads   bool
	port    int64
	filters any
	// others are backends of others.
	others []any
}

func (p Place) sorted(refs any) sorted {
	s := sorted{port: ServicePort}
	list, _ := refs.([]any)
	for _, entry := range list {
		ref, isMap := entry.(map[string]any)
		if !isMap || !p.leadsHere(ref) {
			s.others = append(s.others, entry)
			continue
		}
		s.leads = true
		if n, has := ref["port"].(int64); has {
			s.port = n
		}
		if f, has := ref["filters"]; has && s.filters == nil {
			s.filters = f
		}
	}
	return s
}

// filtered gives backends the filters of those in whose place they come.
func (s sorted) filtered(refs []any) []any {
	if s.filters == nil {
		return refs
	}
	for _, entry := range refs {
		entry.(map[string]any)["filters"] = s.filters
	}
	return refs
}

// rehost follows a host name that was changed in slipway.yaml; names that others
// have added stay.
func (p Place) rehost(route *unstructured.Unstructured) {
	annotations := route.GetAnnotations()
	before, now := annotations[annotationHost], p.Host()
	if before == now || p.Front.Route != "" {
		return
	}
	names, _, _ := unstructured.NestedStringSlice(route.Object, "spec", "hostnames")
	kept := []string{now}
	for _, name := range names {
		if name != before && name != now {
			kept = append(kept, name)
		}
	}
	if err := unstructured.SetNestedStringSlice(route.Object, kept, "spec", "hostnames"); err != nil {
		return
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationHost] = now
	route.SetAnnotations(annotations)
}
