package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
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
