package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	authentication "k8s.io/api/authentication/v1"
	rbac "k8s.io/api/rbac/v1"
)

// Rules are permissions as RBAC has them, as few as say the same, by namespace; the
// empty one is the whole cluster.
func Rules(all []Permission) map[string][]rbac.PolicyRule {
	places := map[string][]rbac.PolicyRule{}
	for place, here := range byPlace(all) {
		places[place] = rulesOf(here)
	}
	return places
}

func byPlace(all []Permission) map[string][]Permission {
	places := map[string][]Permission{}
	for _, p := range all {
		if p.Wide {
			p.Namespace = ""
		}
		places[p.Namespace] = append(places[p.Namespace], p)
	}
	return places
}

// rulesOf joins the verbs of each resource, and then resources with the same verbs.
func rulesOf(all []Permission) []rbac.PolicyRule {
	var each []rbac.PolicyRule
	for _, p := range all {
		i := slices.IndexFunc(each, func(r rbac.PolicyRule) bool {
			return r.APIGroups[0] == p.Group && r.Resources[0] == p.Resource && slices.Equal(r.ResourceNames, names(p))
		})
		if i < 0 {
			i = len(each)
			each = append(each, rbac.PolicyRule{APIGroups: []string{p.Group}, Resources: []string{p.Resource}, ResourceNames: names(p)})
		}
		if !slices.Contains(each[i].Verbs, p.Verb) {
			each[i].Verbs = append(each[i].Verbs, p.Verb)
		}
	}
	var joined []rbac.PolicyRule
	for _, r := range each {
		slices.SortStableFunc(r.Verbs, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
		i := slices.IndexFunc(joined, func(o rbac.PolicyRule) bool {
			return o.APIGroups[0] == r.APIGroups[0] && slices.Equal(o.ResourceNames, r.ResourceNames) && slices.Equal(o.Verbs, r.Verbs)
		})
		if i < 0 {
			joined = append(joined, r)
			continue
		}
		joined[i].Resources = append(joined[i].Resources, r.Resources...)
	}
	return joined
}

// order is that in which people write verbs.
var order = []string{"get", "list", "watch", "create", "update", "patch", "delete"}

func names(p Permission) []string {
	if p.Name == "" {
		return nil
	}
	return []string{p.Name}
}

// RBAC is the YAML of Roles, of a ClusterRole where one is needed, and of their
// bindings, that grant the permissions to who. Without a user's name the bindings
// have the placeholder NAME.
func RBAC(name string, who authentication.UserInfo, all []Permission) string {
	places := Rules(all)
	var documents []string
	for _, place := range slices.Sorted(maps.Keys(places)) {
		documents = append(documents, role(name, place, places[place]), binding(name, place, who))
	}
	return strings.Join(documents, "---\n")
}

// of are a Role's kind and place; without a namespace it is a ClusterRole.
func of(namespace string) (kind, at string) {
	if namespace == "" {
		return "ClusterRole", ""
	}
	return "Role", ", namespace: " + namespace
}

func role(name, namespace string, rules []rbac.PolicyRule) string {
	kind, at := of(namespace)
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: {name: %s%s}\nrules:\n", kind, name, at)
	for _, r := range rules {
		fmt.Fprintf(&b, "- apiGroups: [%q]\n  resources: [%s]\n", r.APIGroups[0], strings.Join(r.Resources, ", "))
		if len(r.ResourceNames) > 0 {
			fmt.Fprintf(&b, "  resourceNames: [%s]\n", strings.Join(r.ResourceNames, ", "))
		}
		fmt.Fprintf(&b, "  verbs: [%s]\n", strings.Join(r.Verbs, ", "))
	}
	return b.String()
}

func binding(name, namespace string, who authentication.UserInfo) string {
	kind, at := of(namespace)
	return fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: %sBinding\nmetadata: {name: %s%s}\n"+
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %s}\nsubjects:\n- %s\n", kind, name, at, kind, name, subject(who))
}

// subject is a line of a binding. Accounts have user names of a fixed form.
func subject(who authentication.UserInfo) string {
	if account, ok := strings.CutPrefix(who.Username, "system:serviceaccount:"); ok {
		if namespace, name, ok := strings.Cut(account, ":"); ok {
			return fmt.Sprintf("{kind: ServiceAccount, name: %s, namespace: %s}", name, namespace)
		}
	}
	return fmt.Sprintf("{kind: User, apiGroup: rbac.authorization.k8s.io, name: %q}", first(who.Username, "NAME"))
}
