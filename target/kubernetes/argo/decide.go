package argo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/slipway-ci/slipway/deploy"
)

// defaultScaleDownDelay is how long a Rollout keeps the old side of a blue-green
// where it does not say.
const defaultScaleDownDelay = 30 * time.Second

// Decided derives the strategy from the Rollout's own, and refuses what
// slipway.yaml says of what is the Rollout's.
func (t *Target) Decided(ctx context.Context, e deploy.Environment) (deploy.Environment, []string, error) {
	if err := t.notOurs(e); err != nil {
		return e, nil, err
	}
	r, made, err := t.decisive(ctx)
	if err != nil {
		return e, nil, t.ended(ctx, err, "read %s", t)
	}
	s, notes, err := derive(r, e.Strategy)
	if err != nil {
		return e, nil, err
	}
	notes = append(made, notes...)
	e.Strategy = s
	// How many replicas run is the Rollout's, and an autoscaler's: they are no part
	// of what a revision is, and the controller waits for all of them.
	e.Service.Replicas = 1
	return e, notes, nil
}

// decisive is the Rollout whose strategy is followed: the one that is brought in,
// else the one that is there. The notes say what becomes of it.
func (t *Target) decisive(ctx context.Context) (r *rollout, notes []string, err error) {
	now, err := t.get(ctx)
	if t.o.Set == nil || t.o.Set.Written() == nil {
		if err == nil {
			err = t.foreign(now)
		}
		return now, nil, err
	}
	switch {
	case apierrors.IsNotFound(err):
		notes = append(notes, fmt.Sprintf("the Rollout %s is not there yet: it is made, and what comes first has no steps", t.o.Name))
	case err != nil:
		return nil, nil, err
	default:
		if err := t.foreign(now); err != nil {
			return nil, nil, err
		}
		if !t.ours(now) {
			notes = append(notes, fmt.Sprintf("the Rollout %s is there already: it becomes what the manifests say", t.o.Name))
		}
	}
	r, err = read(t.o.Set.Written())
	return r, notes, err
}

// notOurs refuses what the Rollout's own template says. What it says itself of
// variables is added to, where it is a part of manifests.
func (t *Target) notOurs(e deploy.Environment) error {
	c := e.Target.Cluster
	var said []string
	for what, is := range map[string]bool{
		"env": t.o.Set == nil && len(e.Service.Env) > 0, "secrets": t.o.Set == nil && len(e.Service.Secrets) > 0, "gateway": c.Gateway != nil,
		"pre-stop": c.PreStop != 0, "isolated": c.Isolated, "cpu": c.Pod.CPU != "", "memory": c.Pod.Memory != "", "user": c.Pod.User != "",
		"replicas": c.Manifests != nil && c.Manifests.Replicas > 0, "autoscale": c.Autoscale != nil,
	} {
		if is {
			said = append(said, what)
		}
	}
	if len(said) > 0 {
		slices.Sort(said)
		return deploy.Usage("write it into the manifest of the Rollout, and remove it from slipway.yaml",
			"%s: slipway.yaml has %s, which the Rollout %s says of its pods itself", e.Name, strings.Join(said, ", "), t.o.Name)
	}
	for _, m := range e.Strategy.Judging.Metrics {
		if m.Kubernetes != "" {
			return deploy.Usage("ask a Prometheus for it: judge: {metrics: [{preset: …}]}",
				"%s: the metric kubernetes: %s is not there for a Rollout", e.Name, m.Kubernetes)
		}
	}
	return nil
}

// foreign refuses to come in between somebody else's rollout that is under way.
func (t *Target) foreign(r *rollout) error {
	s := r.Status
	if !r.seen() || s.StableRS == "" || s.CurrentPodHash == s.StableRS || s.Abort {
		return nil
	}
	if _, ours := t.written(r.Spec.Template); ours {
		return nil
	}
	return deploy.Hinted(fmt.Errorf("%s: somebody else is bringing in another version, which %s", t, strings.ToLower(phase(r))),
		"let it end, or end it: kubectl argo rollouts promote, or abort, %s -n %s", t.o.Name, t.o.Namespace)
}

func phase(r *rollout) string {
	if r.Status.Message == "" {
		return "is " + r.Status.Phase
	}
	return "is " + r.Status.Phase + " (" + r.Status.Message + ")"
}

// derive is the strategy of a Rollout. Of what slipway.yaml says, that stays which
// the Rollout does not say: how long to hold where it waits for ever, how to judge,
// and when to ask a person.
func derive(r *rollout, asked deploy.Strategy) (deploy.Strategy, []string, error) {
	kind := deploy.Canary
	if r.Spec.Strategy.BlueGreen != nil {
		kind = deploy.BlueGreen
	}
	stages, err := r.stages()
	if err != nil {
		return asked, nil, err
	}
	if asked.Written.Kind && asked.Kind != kind {
		return asked, nil, deploy.Usage(fmt.Sprintf("write strategy: %s, or leave it out: the Rollout's own is followed", kind),
			"strategy: %s is written in slipway.yaml, and the Rollout %s has %s", asked.Kind, r.Name, kind)
	}
	s := asked
	if s.Kind != kind {
		s = asked.By(kind)
	}
	s.Given = nil
	for _, at := range stages {
		var hold time.Duration // before a blue-green has switched, nobody is there to be watched
		if kind == deploy.Canary {
			hold = at.hold
		}
		if at.forever && kind == deploy.Canary {
			hold += s.Hold
		}
		s.Given = append(s.Given, deploy.Given{Share: at.share, Hold: hold})
	}
	if len(s.Given) == 0 {
		s.Given = []deploy.Given{{Share: 100}}
	}
	if err := agree(r, s, asked); err != nil {
		return s, nil, err
	}
	s.Steps = shares(s.Given)
	if bg := r.Spec.Strategy.BlueGreen; bg != nil {
		s.Steps = nil
		s.Keep = min(s.Keep, bg.keeps())
	}
	return s, notes(r, stages), nil
}

// shares are the steps of a canary, the last one 100%.
func shares(given []deploy.Given) []deploy.Percent {
	var all []deploy.Percent
	for _, g := range given {
		if g.Share > 0 && g.Share < 100 {
			all = append(all, g.Share)
		}
	}
	return append(all, 100)
}

// agree refuses steps, and shares to ask at, that the Rollout does not have.
func agree(r *rollout, s, asked deploy.Strategy) error {
	own := shares(s.Given)
	if asked.Written.Steps && !slices.Equal(asked.Steps, own) {
		return deploy.Usage("leave steps out: the Rollout's own are followed",
			"steps: %s is written in slipway.yaml, and the Rollout %s stops at %s", list(asked.Steps), r.Name, list(own))
	}
	for _, share := range asked.Approve {
		if !slices.ContainsFunc(s.Given, func(g deploy.Given) bool { return g.Share == share }) {
			return deploy.Usage("it stops at "+list(own[:len(own)-1]), "approve: the Rollout %s does not stop at %s", r.Name, share)
		}
	}
	return nil
}

func list(shares []deploy.Percent) string {
	if len(shares) == 0 {
		return "no share"
	}
	all := make([]string, len(shares))
	for i, s := range shares {
		all[i] = s.String()
	}
	return strings.Join(all, ", ")
}

func (b *blueGreen) keeps() time.Duration {
	if b.ScaleDownDelaySeconds == nil {
		return defaultScaleDownDelay
	}
	return time.Duration(*b.ScaleDownDelaySeconds) * time.Second
}

// notes say where the Rollout does not wait for anybody.
func notes(r *rollout, stages []stage) []string {
	var all []string
	switch {
	case len(stages) == 0 && r.Spec.Strategy.BlueGreen != nil:
		all = append(all, "the Rollout gives all users the new version as soon as it is ready, before it is checked: autoPromotionEnabled: false makes it wait")
	case len(stages) == 0:
		all = append(all, "the Rollout gives all users the new version without a stop: a step pause: {} makes it wait")
	}
	for _, s := range stages {
		if !s.forever {
			all = append(all, fmt.Sprintf("the Rollout goes on from %s by itself%s: a pause without a duration makes it wait for Slipway's verdict", s.share, after(s.hold)))
		}
	}
	if c := r.Spec.Strategy.Canary; c != nil && c.TrafficRouting == nil && len(stages) > 0 {
		all = append(all, fmt.Sprintf("users are split by the number of pods: of %d, each share is the nearest that there is", r.replicas()))
	}
	return all
}

func after(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " after " + d.String()
}
