package access

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
)

// Permission is one thing that one may do.
type Permission struct {
	// Verb is as RBAC has it: get, list, watch, create, update, patch, delete.
	Verb string
	// Group is the API group; empty is the core group.
	Group string
	// Resource is in the plural, with its subresource: "pods", "pods/log".
	Resource string
	// Name is of one object; empty means all of them.
	Name string
	// Namespace is where; empty means the cluster's own, unless Wide is not set:
	// then it is the namespace of the Cluster that is asked.
	Namespace string
	// Wide is a permission in no namespace, such as that to make one.
	Wide bool
}

// String is as messages have it: "create deployments.apps in shop".
func (p Permission) String() string {
	resource, sub, _ := strings.Cut(p.Resource, "/")
	if p.Group != "" {
		resource += "." + p.Group
	}
	if sub != "" {
		resource += "/" + sub
	}
	s := p.Verb + " " + resource
	if p.Name != "" {
		s += " " + p.Name
	}
	switch {
	case p.Wide:
		return s + " in the whole cluster"
	case p.Namespace != "":
		return s + " in " + p.Namespace
	}
	return s
}

// parallel bounds the questions that are asked at once.
const parallel = 4

// Missing are those of the permissions that this login does not have, in their
// order. One question for each namespace answers for what is granted; what is left
// is asked about one by one, so that a cluster that decides outside of RBAC is
// heard, too. It changes nothing.
func (c *Cluster) Missing(ctx context.Context, wanted []Permission) ([]Permission, error) {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return nil, c.Explain(err)
	}
	wanted = slices.Clone(wanted)
	for i := range wanted {
		if wanted[i].Namespace == "" && !wanted[i].Wide {
			wanted[i].Namespace = c.Namespace
		}
	}
	unclear, err := c.notByRules(ctx, client, wanted)
	if err != nil {
		return nil, err
	}
	refused := make([]bool, len(unclear))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, p := range unclear {
		group.Go(func() error {
			allowed, err := may(ctx, client, p)
			refused[i] = !allowed
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, c.Explain(fmt.Errorf("ask which permissions there are: %w", err))
	}
	var missing []Permission
	for i, p := range unclear {
		if refused[i] {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// notByRules are the permissions that the rules of their namespaces do not grant.
func (c *Cluster) notByRules(ctx context.Context, client kubernetes.Interface, wanted []Permission) ([]Permission, error) {
	rules := map[string][]authorization.ResourceRule{}
	var left []Permission
	for _, p := range wanted {
		if p.Wide {
			left = append(left, p)
			continue
		}
		if _, ok := rules[p.Namespace]; !ok {
			review := &authorization.SelfSubjectRulesReview{Spec: authorization.SelfSubjectRulesReviewSpec{Namespace: p.Namespace}}
			answer, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, review, meta.CreateOptions{})
			if err != nil {
				return nil, c.Explain(fmt.Errorf("ask which permissions there are in %s: %w", p.Namespace, err))
			}
			rules[p.Namespace] = answer.Status.ResourceRules
		}
		if !granted(rules[p.Namespace], p) {
			left = append(left, p)
		}
	}
	return left, nil
}

// granted says whether one of the rules grants the permission.
func granted(rules []authorization.ResourceRule, p Permission) bool {
	return slices.ContainsFunc(rules, func(r authorization.ResourceRule) bool {
		return has(r.Verbs, p.Verb) && has(r.APIGroups, p.Group) && hasResource(r.Resources, p.Resource) &&
			(len(r.ResourceNames) == 0 || (p.Name != "" && slices.Contains(r.ResourceNames, p.Name)))
	})
}

func has(all []string, one string) bool {
	return slices.Contains(all, one) || slices.Contains(all, "*")
}

func hasResource(all []string, one string) bool {
	_, sub, _ := strings.Cut(one, "/")
	return has(all, one) || (sub != "" && slices.Contains(all, "*/"+sub))
}

// may asks about one permission.
func may(ctx context.Context, client kubernetes.Interface, p Permission) (bool, error) {
	resource, sub, _ := strings.Cut(p.Resource, "/")
	review := &authorization.SelfSubjectAccessReview{Spec: authorization.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorization.ResourceAttributes{
			Namespace: p.Namespace, Verb: p.Verb, Group: p.Group, Resource: resource, Subresource: sub, Name: p.Name,
		},
	}}
	answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, meta.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// Require is Missing as an error for people: who lacks what, all at once, and with
// what to apply in the hint. It is nil when nothing is missing.
func (c *Cluster) Require(ctx context.Context, wanted []Permission) error {
	missing, err := c.Missing(ctx, wanted)
	if err != nil || len(missing) == 0 {
		return err
	}
	who := c.self(ctx)
	said := make([]string, len(missing))
	for i, p := range missing {
		said[i] = p.String()
	}
	return deploy.Hinted(fmt.Errorf("%s may not %s; nothing was changed", whoOr(who, "this login"), strings.Join(said, ", ")),
		"have this applied by somebody who may:\n%s", RBAC(additional(missing), who, missing))
}

// additional is a name for the Role of what is missing, which follows from that: a
// Role that is there, of this name or of what was missing earlier, would lose its own
// rules to it.
func additional(missing []Permission) string {
	h := fnv.New32a()
	for _, p := range missing {
		_, _ = fmt.Fprintln(h, p)
	}
	return fmt.Sprintf("slipway-%08x", h.Sum32())
}

func whoOr(who authentication.UserInfo, other string) string { return first(who.Username, other) }

// self is who this login is; empty where the cluster does not say.
func (c *Cluster) self(ctx context.Context) authentication.UserInfo {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return authentication.UserInfo{}
	}
	answer, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authentication.SelfSubjectReview{}, meta.CreateOptions{})
	if err != nil {
		return authentication.UserInfo{}
	}
	return answer.Status.UserInfo
}
