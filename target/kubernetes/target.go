package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// Target is one environment in a cluster.
type Target struct {
	*Client
	place objects.Place
	front front
	url   address
	// replicas are how many of a revision run, at the least where their number
	// follows their load.
	replicas int
	kind     deploy.Kind
	// metrics are those that the cluster itself tells.
	metrics []deploy.Metric
	watched *watched
	rivalry rivalry
	// bundles are users' own manifests.
	bundles *bundles
	// tasks are those of the environment.
	tasks deploy.Tasks
}

var (
	_ deploy.Target    = (*Target)(nil)
	_ deploy.Baseliner = (*Target)(nil)
	_ deploy.Roller    = (*Target)(nil)
	_ deploy.Journal   = (*Target)(nil)
	_ deploy.Locker    = (*Target)(nil)
	_ deploy.Witness   = (*Target)(nil)
	_ deploy.Remover   = (*Target)(nil)
	_ deploy.Signaller = (*Target)(nil)
	_ deploy.Adviser   = (*Target)(nil)
	_ deploy.Permitted = (*Target)(nil)
	_ deploy.Accepter  = (*Target)(nil)
	_ deploy.Guard     = (*Target)(nil)
)

// Kinds are the strategies that a cluster can do.
func Kinds() []deploy.Kind { return slices.Clone(deploy.Kinds) }

// Unplaced is what users of a canary should know where nothing says by what they
// are known: the Gateway API's standard channel has nothing that keeps a user on one
// side by itself.
const Unplaced = "the gateway places each request anew: a user of the canary may meet both versions"

// Advise says what becomes of shares where whole replicas split users, and how a
// gateway keeps users on their side.
func (t *Target) Advise(s deploy.Strategy) ([]string, error) {
	notes, err := t.advise(s)
	if b := t.bundles.written; b != nil && err == nil {
		notes = append(notes, b.Notes(!t.withoutHooks())...)
	}
	return notes, err
}

func (t *Target) advise(s deploy.Strategy) ([]string, error) {
	g := t.place.Cluster.Gateway
	switch {
	case g == nil:
		return t.adviseReplicas(s)
	case s.Kind == deploy.Canary && g.Sticky == nil:
		return []string{Unplaced}, nil
	case s.Kind == deploy.Canary:
		return []string{placedBy(*g.Sticky)}, nil
	}
	return nil, nil
}

// placedBy says who stays on their side.
func placedBy(s deploy.Sticky) string {
	what := "the header " + s.Header
	if s.Cookie != "" {
		what = "the cookie " + s.Cookie
	}
	return fmt.Sprintf("users stay on their side by %s, where its value ends in %s: what comes without is placed anew each time", what, cmp.Or(s.EndsIn, deploy.EndsInHex))
}

// String reads "kubernetes hello/production in the namespace shop".
func (t *Target) String() string {
	return fmt.Sprintf("kubernetes %s/%s in the namespace %s", t.place.App, t.place.Environment, t.place.Namespace)
}

// Start runs the revision without users until all of it is ready. A secret
// without value is one that the namespace has already.
func (t *Target) Start(ctx context.Context, r deploy.Revision) error {
	err := t.start(ctx, r, r.Config.Replicas, asCandidate(r))
	return t.ended(ctx, err, "start %s at %s", r, t)
}

// asCandidate is what the traffic becomes when a revision is started.
func asCandidate(r deploy.Revision) func(objects.Traffic) (objects.Traffic, error) {
	return func(f objects.Traffic) (objects.Traffic, error) { return f.Begin(r.ID), nil }
}

// start runs so many replicas of a revision, with the part in the traffic that
// begin gives it, and waits until they are ready.
func (t *Target) start(ctx context.Context, r deploy.Revision, replicas int, begin func(objects.Traffic) (objects.Traffic, error)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := t.provide(ctx, r); err != nil {
		return err
	}
	if _, err := t.front.change(ctx, begin); err != nil {
		return err
	}
	if err := t.atLeast(ctx, r, replicas); err != nil {
		return err
	}
	t.ways.In(t.place).Open(r.ID, t.place.SelectPods(r.ID), 0)
	if err := t.ready(ctx, r, replicas); err != nil {
		return err
	}
	return t.admit(ctx, r)
}

// admit lets testers to a candidate that is ready.
func (t *Target) admit(ctx context.Context, r deploy.Revision) error {
	if g := t.place.Cluster.Gateway; g == nil || g.Testers == nil {
		return nil
	}
	_, err := t.front.change(ctx, func(f objects.Traffic) (objects.Traffic, error) { return f.Admit(r.ID), nil })
	return err
}

// ready waits until so many replicas can serve, or it is certain that they never
// will.
func (t *Target) ready(ctx context.Context, r deploy.Revision, replicas int) error {
	defer t.watched.learnt.Add(1)
	if err := pods.Wait(ctx, t.kube, t.place.Namespace, t.place.SelectPods(r.ID), replicas, t.options(r)); err != nil {
		return err
	}
	return t.reachable(ctx, r.ID, replicas)
}

func (t *Target) options(r deploy.Revision) pods.Options {
	o := pods.Options{
		Revision: r, Workload: pods.Workload{Kind: "Deployment", Name: t.place.Name(r.ID)}, Log: t.log,
	}
	if b := t.bundles.ofRevision(r.ID); b != nil {
		o.Hide = b.Confidential()
	}
	return o
}

// errNotStarted is for a revision that is to get users and does not run.
var errNotStarted = errors.New("it is not started")

// Switch gives a started revision all users in one write.
func (t *Target) Switch(ctx context.Context, r deploy.Revision) error {
	return t.ended(ctx, t.switchTo(ctx, r), "switch %s to %s", t, r)
}

func (t *Target) switchTo(ctx context.Context, r deploy.Revision) error {
	if err := t.carry(ctx, r, 100); err != nil {
		return err
	}
	if err := t.manned(ctx, r.ID); err != nil {
		return err
	}
	before, err := t.move(ctx, r, func(f objects.Traffic) (objects.Traffic, error) { return f.Switch(r.ID), nil })
	if err != nil {
		return err
	}
	return t.reinforce(ctx, r, before, r.ID)
}

// move changes the traffic of a revision that runs, and gives back what it was.
func (t *Target) move(ctx context.Context, r deploy.Revision, f func(objects.Traffic) (objects.Traffic, error)) (before objects.Traffic, err error) {
	if ctx.Err() != nil {
		return before, context.Cause(ctx)
	}
	d, err := t.deployment(ctx, r.ID)
	switch {
	case err != nil:
		return before, err
	case d == nil:
		return before, errNotStarted
	}
	return t.front.change(ctx, f)
}

// Split gives the candidate a share of the users in one write, and returns when
// the gateway has taken it in. Who was placed is not kept on their side: the
// gateway places each request anew.
func (t *Target) Split(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	err := t.split(ctx, r, share, 0)
	return t.ended(ctx, err, "give %s of the users of %s to %s", share, t, r)
}

func (t *Target) split(ctx context.Context, r deploy.Revision, share, baseline deploy.Percent) error {
	if err := shares(share, baseline); err != nil {
		return err
	}
	if baseline > 0 && t.place.Cluster.Gateway == nil {
		return errBaseline
	}
	if err := t.carry(ctx, r, share); err != nil {
		return err
	}
	if share == 0 {
		if err := t.returnable(ctx, r.ID); err != nil {
			return err
		}
	}
	divide := func() (objects.Traffic, error) { return t.move(ctx, r, candidacy(r, share, baseline)) }
	if t.place.Cluster.Gateway == nil {
		divide = func() (objects.Traffic, error) { return t.splitByReplicas(ctx, r, share) }
	}
	before, err := divide()
	if err != nil || share >= before.Share {
		return err
	}
	return t.reinforce(ctx, r, before, before.Live)
}

// candidacy gives a candidate and its baseline their shares.
func candidacy(r deploy.Revision, share, baseline deploy.Percent) func(objects.Traffic) (objects.Traffic, error) {
	return func(f objects.Traffic) (objects.Traffic, error) {
		switch f.Live {
		case "":
			return f, errors.New("nothing is live yet with which it could share users")
		case r.ID:
			return f, errors.New("it is live already, and cannot be the candidate")
		}
		if baseline > 0 && f.Baseline == "" {
			return f, errors.New("no baseline is started that could get users")
		}
		return f.Split(r.ID, share, baseline), nil
	}
}

// Stop takes the revision out of traffic, lets requests under way finish, and
// removes its objects. What was begun goes on in the cluster when ctx ends.
func (t *Target) Stop(ctx context.Context, r deploy.Revision) error {
	return t.ended(ctx, t.stop(ctx, r), "stop %s at %s", r, t)
}

func (t *Target) stop(ctx context.Context, r deploy.Revision) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	before, err := t.front.change(ctx, func(f objects.Traffic) (objects.Traffic, error) { return f.Drop(r.ID), nil })
	if err != nil {
		return err
	}
	if err := t.takeDown(ctx, r); err != nil {
		return err
	}
	if err := t.endTasks(ctx, r); err != nil {
		return err
	}
	t.ways.In(t.place).Close(r.ID)
	if err := t.relax(ctx, r); err != nil {
		return err
	}
	return t.restore(ctx, r, before.Drop(r.ID).Live)
}

// Evidence is about the replica of a revision that fared worst.
func (t *Target) Evidence(ctx context.Context, r deploy.Revision) (deploy.Evidence, error) {
	e, err := pods.Evidence(ctx, t.kube, t.place.Namespace, t.place.SelectPods(r.ID), t.options(r))
	return e, t.ended(ctx, err, "ask after %s at %s", r, t)
}
