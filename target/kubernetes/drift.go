package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	numbers "k8s.io/apimachinery/pkg/util/json" // keeps integers as such

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

var _ deploy.Drifter = (*Target)(nil)

// left is what the last release has left in the environment, as its journal says.
type left struct {
	// live is the revision that has the users, others are those that a rollout
	// which is held or watched has beside it.
	live   deploy.Revision
	others []deploy.Revision
	// brought is the one that was brought in last: what all revisions share is as
	// its manifests have it.
	brought deploy.Revision
	// traffic is who has which users.
	traffic objects.Traffic
	// settled: nobody is in the middle of anything, so that every revision has as
	// many replicas as it asks for.
	settled bool
}

// revisions are all of them, the live one first. Where nothing was live, it is the
// zero one.
func (l left) revisions() []deploy.Revision { return append([]deploy.Revision{l.live}, l.others...) }

// errUncertain is for an environment of which the journal cannot say what is live.
var errUncertain = errors.New("the last rollout ended without its being known what is live")

// remains reads from the journal what should be there. While a rollout is held or
// watched, the shares that are in force are those that should be.
func (t *Target) remains(ctx context.Context) (left, error) {
	m, err := t.readState(ctx)
	if err != nil {
		return left{}, err
	}
	var s deploy.State
	if err := readJournal(m, &s); err != nil {
		return left{}, err
	}
	switch r := s.Record; {
	case r.Phase == deploy.PhaseNone:
		return left{}, nil
	case r.Held(), r.Baking():
		l := left{live: r.Previous, others: []deploy.Revision{r.Candidate}, brought: r.Candidate}
		if r.Baking() {
			l = left{live: r.Candidate, others: []deploy.Revision{r.Previous}, brought: r.Candidate}
		}
		l.traffic, err = t.front.read(ctx)
		return l, err
	case r.Phase != deploy.PhaseSettled:
		return left{}, fmt.Errorf("a rollout is in phase %q", r.Phase)
	case r.Outcome == deploy.Unknown:
		return left{}, deploy.Hinted(errUncertain, "slipway status shows what is there; slipway settle tries again")
	case r.Outcome == deploy.Promoted:
		return left{live: r.Candidate, brought: r.Candidate, traffic: objects.Traffic{Live: r.Candidate.ID}, settled: true}, nil
	default:
		return left{live: r.Previous, brought: r.Previous, traffic: objects.Traffic{Live: r.Previous.ID}, settled: true}, nil
	}
}

// Drift compares what is live with what applying it again would come to, by dry
// runs of the server.
func (t *Target) Drift(ctx context.Context) ([]deploy.Difference, error) {
	c, err := t.comparison(ctx)
	if err != nil {
		return nil, t.ended(ctx, err, "compare %s", t)
	}
	return c.told(), nil
}

// Repair undoes what Drift finds. Pods whose definition was put back are waited
// for, and a gateway until it follows.
func (t *Target) Repair(ctx context.Context, secret func(name string) string) ([]deploy.Difference, error) {
	c, err := t.comparison(ctx)
	if err != nil {
		return nil, t.ended(ctx, err, "compare %s", t)
	}
	if len(c.told()) == 0 {
		return nil, nil
	}
	err = errors.Join(t.restoreSecrets(ctx, c, secret), c.restore(ctx), t.restoreScalers(ctx, c), t.leadBack(ctx, c))
	if err == nil {
		err = t.inPlace(ctx, c)
	}
	if err != nil {
		return t.undone(ctx, c.told()), t.ended(ctx, err, "repair %s", t)
	}
	return c.told(), nil
}

// undone are those of the differences that are there no more; none where that
// cannot be told.
func (t *Target) undone(ctx context.Context, before []deploy.Difference) []deploy.Difference {
	after, err := t.Drift(ctx)
	if err != nil {
		return nil
	}
	return without(before, after)
}

// without are those differences that are not among others.
func without(before, after []deploy.Difference) []deploy.Difference {
	return slices.DeleteFunc(before, func(d deploy.Difference) bool {
		return slices.ContainsFunc(after, func(a deploy.Difference) bool { return a.Object == d.Object && a.Field == d.Field })
	})
}

// comparison is what there should be, and how it differs.
type comparison struct {
	left   left
	client *apply.Client
	// own are objects that Slipway makes, set those of a user's manifests that all
	// revisions share.
	own, set family
	// scaling are the autoscalers that Slipway makes.
	scaling family
	// secrets are those whose object is missing, or has another value.
	secrets []lost
	// astray is how a user's own Service leads to others than it should; nil where
	// it does not.
	astray *deploy.Difference
}

// family are objects that are compared and put back in the same way.
type family struct {
	options  apply.Options
	expected []*unstructured.Unstructured
	found    []apply.Difference
}

func (c comparison) families() []family { return []family{c.own, c.set, c.scaling} }

func (f *family) compare(ctx context.Context, client *apply.Client) (err error) {
	if len(f.expected) > 0 {
		f.found, err = client.Drift(ctx, f.expected, f.options)
	}
	return err
}

// lost is a version of a secret that is not there as it was.
type lost struct {
	secret deploy.Secret
	// live is the object that has another value; nil where there is none.
	live *corev1.Secret
}

func (t *Target) comparison(ctx context.Context) (comparison, error) {
	c := comparison{}
	var err error
	if c.left, err = t.remains(ctx); err != nil || c.left.live.IsZero() {
		return c, err
	}
	if c.client, err = apply.New(t.cluster.Config); err != nil {
		return c, err
	}
	c.own.options = t.bare()
	if c.own.expected, err = t.expected(ctx, c.left); err != nil {
		return c, err
	}
	if err := c.own.compare(ctx, c.client); err != nil {
		return c, err
	}
	if c.set, err = t.shared(ctx, c.left); err != nil {
		return c, err
	}
	if err := c.set.compare(ctx, c.client); err != nil {
		return c, err
	}
	if c.scaling, err = t.scaling(ctx, c.left, c.client); err != nil {
		return c, err
	}
	if c.astray, err = t.astray(ctx, c.left); err != nil {
		return c, err
	}
	c.secrets, err = t.lost(ctx, c.left)
	return c, err
}

// bare is how objects of Slipway's own are compared.
func (t *Target) bare() apply.Options {
	return apply.Options{Owner: t.place.Base(), Namespace: t.place.Namespace, Inventory: t.place.Base(), Bare: true, Ignore: tolerated}
}

// tolerated are differences that are nobody's mistake: how pods log in to a
// registry, which slipway.yaml does not say, is added to their account.
func tolerated(d apply.Difference) bool {
	return d.Object.Kind == "ServiceAccount" && d.Change == apply.Added
}

func (c comparison) restore(ctx context.Context) error {
	var errs []error
	for _, f := range []family{c.own, c.set} {
		if len(f.found) > 0 {
			_, err := c.client.Repair(ctx, f.expected, f.found, f.options)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// told are all differences in the words of all targets.
func (c comparison) told() []deploy.Difference {
	var all []deploy.Difference
	for _, f := range c.families() {
		for _, d := range f.found {
			all = append(all, d.Told())
		}
	}
	for _, l := range c.secrets {
		all = append(all, l.told(c.own.options.Namespace))
	}
	if c.astray != nil {
		all = append(all, *c.astray)
	}
	slices.SortStableFunc(all, func(a, b deploy.Difference) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field))
	})
	return all
}

// expected are the objects of Slipway's that there should be.
func (t *Target) expected(ctx context.Context, l left) ([]*unstructured.Unstructured, error) {
	all, place, err := t.ofRevisions(ctx, l)
	if err != nil {
		return nil, err
	}
	if t.place.Front.Service == "" {
		entry, err := t.expectedEntry(place, l.traffic)
		if err != nil {
			return nil, err
		}
		all = append(all, entry)
	}
	list := make([]*unstructured.Unstructured, 0, len(all)+1)
	for _, o := range all {
		u, err := plain(o)
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	if place.Cluster.Gateway == nil || t.place.Front.Route != "" {
		return list, nil
	}
	r, err := t.expectedRoute(ctx, place, l.traffic)
	return append(list, r), err
}

// ofRevisions are the objects of all revisions that there should be, and how the
// live one was placed.
func (t *Target) ofRevisions(ctx context.Context, l left) (all []any, place objects.Place, err error) {
	place = t.place
	for i, r := range l.revisions() {
		if r.IsZero() {
			continue
		}
		d, err := t.deployment(ctx, r.ID)
		if err != nil {
			return nil, place, err
		}
		if d == nil && i > 0 {
			continue // a rollout that rests need not have it still
		}
		made := t.place.AsMade(d)
		if i == 0 {
			place = made
		}
		b, err := t.bundle(ctx, r)
		if err != nil {
			return nil, place, err
		}
		own, err := ofRevision(made, b, r, d, l.settled)
		if err != nil {
			return nil, place, err
		}
		all = append(all, own...)
		if i == 0 && b == nil {
			all = append(all, t.place.ServiceAccount())
		}
	}
	return all, place, nil
}

// expectedEntry is the Service of the environment, where it is Slipway's own.
func (t *Target) expectedEntry(place objects.Place, traffic objects.Traffic) (*corev1.Service, error) {
	to := pointing(place, traffic)
	e := place.Entry(to.Pointed())
	e.Annotations, e.Spec.Selector = to.Annotate(nil), place.Leads(to)
	return e, entry{t}.ports(e, traffic)
}

// ofRevision are the objects of one revision, which is of a user's manifests where
// there is a Bundle; d is its Deployment as it is, nil where there is none.
func ofRevision(p objects.Place, b *bundle.Bundle, r deploy.Revision, d *appsv1.Deployment, settled bool) ([]any, error) {
	parts := ofPlace
	if b != nil {
		parts = func(p objects.Place, r deploy.Revision) (*appsv1.Deployment, []any, error) { return ofBundle(p, b, r) }
	}
	made, all, err := parts(p, r)
	if err != nil {
		return nil, err
	}
	if d != nil && (!settled || scaled(d, r) || b != nil && b.Scaling() != nil) {
		made.Spec.Replicas = nil
	}
	if fence := p.Fence(r); fence != nil {
		all = append(all, fence)
	}
	return append(all, made), nil
}

// ofPlace are the objects of a revision of slipway.yaml alone.
func ofPlace(p objects.Place, r deploy.Revision) (*appsv1.Deployment, []any, error) {
	made, err := p.Deployment(r, r.Config.Replicas)
	all := []any{p.Service(r)}
	if settings := p.Settings(r); settings != nil {
		all = append(all, settings)
	}
	if budget := p.Budget(r); budget != nil {
		all = append(all, budget)
	}
	return made, all, err
}

// scaled reports whether the number of a revision's replicas is an autoscaler's to
// choose: one of ours, or one that somebody has made.
func scaled(d *appsv1.Deployment, r deploy.Revision) bool {
	return deploy.AutoscaleOf(r.Config) != nil || slices.ContainsFunc(d.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == "scale" && strings.HasPrefix(e.Manager, "kube-")
	})
}

func (t *Target) expectedRoute(ctx context.Context, p objects.Place, traffic objects.Traffic) (*unstructured.Unstructured, error) {
	live, err := route{t}.api().Get(ctx, p.RouteName(), metav1.GetOptions{})
	if absent(err) {
		return p.Route(traffic)
	}
	if err != nil {
		return nil, err
	}
	return p.Restored(live, traffic)
}

// plain is an object as JSON has it, without what only a server writes.
func plain(o any) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write down an object: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := numbers.Unmarshal(text, &u.Object); err != nil {
		return nil, fmt.Errorf("write down an object: %w", err)
	}
	bare(u.Object)
	delete(u.Object, "status")
	return u, nil
}

// bare takes out what is null, which says nothing and which an apply would own.
func bare(in map[string]any) {
	for key, v := range in {
		if m, is := v.(map[string]any); is && len(m) > 0 {
			bare(m)
		}
		if v == nil {
			delete(in, key)
		}
	}
}

// lost finds the secrets of the revisions that are not there with the value that
// they had.
func (t *Target) lost(ctx context.Context, l left) ([]lost, error) {
	var all []lost
	seen := map[string]bool{}
	for _, r := range l.revisions() {
		for _, s := range r.Secrets {
			name := t.place.SecretName(s)
			if seen[name] {
				continue
			}
			seen[name] = true
			live, err := t.kube.CoreV1().Secrets(t.place.Namespace).Get(ctx, name, metav1.GetOptions{})
			switch {
			case absent(err):
				all = append(all, lost{secret: s})
			case err != nil:
				return nil, err
			case t.version(s, string(live.Data[s.Name])) != s.Version:
				all = append(all, lost{secret: s, live: live})
			}
		}
	}
	return all, nil
}

// version is the one that a value of a secret would have.
func (t *Target) version(s deploy.Secret, value string) string {
	return deploy.NewSecret(t.place.App, t.place.Environment, s.Name, value).Version
}

func (l lost) told(namespace string) deploy.Difference {
	d := deploy.Difference{Object: "Secret " + namespace + "/" + l.secret.String(), Change: deploy.DriftMissing}
	if l.live == nil {
		return d
	}
	d.Object = "Secret " + namespace + "/" + l.live.Name
	d.Change, d.Field, d.Applied, d.Live = deploy.DriftChanged, ".data."+l.secret.Name, apply.Hidden, apply.Hidden
	return by(d, l.live.ManagedFields, func(metav1.ManagedFieldsEntry) bool { return true })
}

// by is a difference with the last of those who wrote what is meant.
func by(d deploy.Difference, entries []metav1.ManagedFieldsEntry, meant func(metav1.ManagedFieldsEntry) bool) deploy.Difference {
	for _, e := range entries {
		if !meant(e) {
			continue
		}
		d.Manager, d.Operation = e.Manager, string(e.Operation)
		if e.Time != nil {
			d.At = e.Time.UTC()
		}
	}
	return d
}

// restoreSecrets brings back secrets whose value somebody has, of the version that
// is missing.
func (t *Target) restoreSecrets(ctx context.Context, c comparison, value func(name string) string) error {
	var errs []error
	for _, l := range c.secrets {
		given := value(l.secret.Name)
		if given == "" || t.version(l.secret, given) != l.secret.Version {
			errs = append(errs, deploy.Hinted(fmt.Errorf("the value of the secret %s is in no record", l.secret),
				"give the value that it had as the environment variable %s, or release with another one", l.secret.Name))
			continue
		}
		errs = append(errs, t.putBack(ctx, l, deploy.KnownSecret(l.secret.Name, l.secret.Version, given)))
	}
	return errors.Join(errs...)
}

// putBack replaces an object with another value, which cannot be changed.
func (t *Target) putBack(ctx context.Context, l lost, s deploy.Secret) error {
	api := t.kube.CoreV1().Secrets(t.place.Namespace)
	if l.live != nil {
		if err := unless(absent, api.Delete(ctx, l.live.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.live.UID}})); err != nil {
			return err
		}
	}
	_, err := api.Create(ctx, t.place.Secret(s), creation)
	return unless(apierrors.IsAlreadyExists, err)
}

// inPlace waits until what was put back is in force.
func (t *Target) inPlace(ctx context.Context, c comparison) error {
	kinds := map[string]bool{}
	for _, f := range c.families() {
		for _, d := range f.found {
			kinds[d.Object.Kind] = true
		}
	}
	if err := t.others(ctx, c.left.brought, c.set.drifted()); err != nil {
		return err
	}
	if kinds["Deployment"] || len(c.secrets) > 0 {
		for _, r := range c.left.revisions() {
			if err := t.renewed(ctx, r); err != nil {
				return err
			}
		}
	}
	if !kinds[objects.RouteKind] {
		return nil
	}
	same := func(f objects.Traffic) (objects.Traffic, error) { return f, nil }
	if _, err := t.front.change(ctx, same); err != nil {
		return err
	}
	return settle(ctx)
}

// settle gives a gateway a moment to follow a route that was put back: what it answers
// at objects.ProbePath is the same as before, so that nobody can ask it.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("interrupted while the gateway follows: %w", ctx.Err())
	case <-time.After(lag):
		return nil
	}
}

// renewEvery is how often a Deployment is asked whether its pods are those of its
// definition.
const renewEvery = time.Second

// renewed waits until all pods of a revision are those that its Deployment asks
// for now, or it is certain that they never will be.
func (t *Target) renewed(ctx context.Context, r deploy.Revision) error {
	if r.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.Config.StartTimeout+r.Config.Drain+time.Minute)
	defer cancel()
	for {
		d, err := t.deployment(ctx, r.ID)
		if err != nil || d == nil {
			return err
		}
		n := int32(replicasOf(d))
		if s := d.Status; s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n {
			return t.ready(ctx, r, int(n))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the pods of %s did not become those of its Deployment: %w", r, ctx.Err())
		case <-time.After(renewEvery):
		}
	}
}
