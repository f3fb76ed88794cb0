package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// Without a gateway, users are split by how many replicas of each side serve: a
// Service sends to all that it selects alike. It selects one revision, or, while
// two share the users, the pods of both that are labelled as serving. The others
// stand by. So nothing has to start when users go back: that is one write of the
// Service, which then selects all that there is of the live revision.

// parts are how many replicas of each side serve.
type parts struct{ candidate, live int }

// share of the users that the candidate has, to two decimals.
func (p parts) share() deploy.Percent {
	return deploy.Percent(math.Round(10000*float64(p.candidate)/float64(p.candidate+p.live)) / 100)
}

// nearest are the parts that come nearest to a share above 0% and below 100%, out
// of so many replicas of each side. Both serve, and never fewer in total than live
// ones are there; of two that are as near, those with more.
func nearest(share deploy.Percent, candidates, lives int) parts {
	best := parts{1, 1}
	away := func(p parts) float64 {
		return math.Abs(float64(p.candidate)/float64(p.candidate+p.live) - share.Fraction())
	}
	for c := 1; c <= candidates; c++ {
		for l := max(1, lives-c); l <= lives; l++ {
			p := parts{c, l}
			const hair = 1e-9
			d := away(p) - away(best)
			if d < -hair || d < hair && c+l > best.candidate+best.live || best.candidate+best.live < lives {
				best = p
			}
		}
	}
	return best
}

// Achievable is what becomes of a share of a canary without a gateway, where each
// side has so many replicas, 1 at least.
func Achievable(share deploy.Percent, replicas int) deploy.Percent {
	if share <= 0 || share >= 100 {
		return share
	}
	return nearest(share, replicas, replicas).share()
}

// Replicated is what users of a canary by replicas should know.
const Replicated = "the Service places each connection anew: a user of the canary may meet both versions"

// errBaseline refuses a third group of users beside two that whole replicas make.
var errBaseline = deploy.Usage("name a gateway: target: {kubernetes: {gateway: {name: …, host: …}}}; or write baseline: live",
	"baseline: %s needs a gateway, and the environment names none", deploy.BaselineFresh)

// adviseReplicas says which shares there are without a gateway.
func (t *Target) adviseReplicas(s deploy.Strategy) ([]string, error) {
	if s.Kind != deploy.Canary {
		return nil, nil
	}
	if s.Baseline == deploy.BaselineFresh {
		return nil, errBaseline
	}
	notes := []string{Replicated}
	for _, step := range s.WithDefaults().Steps {
		if note := unlike(step, t.replicas); note != "" {
			notes = append(notes, note)
		}
	}
	return notes, nil
}

// unlike says what becomes of a step that the replicas do not come near to; empty
// where they do, to a whole percent.
func unlike(step deploy.Percent, replicas int) string {
	near := func(n int) bool { return math.Abs(float64(Achievable(step, n)-step)) < 0.5 }
	if step >= 100 || near(replicas) {
		return ""
	}
	p := nearest(step, replicas, replicas)
	text := fmt.Sprintf("%s is %.0f%% here: %d of %d replicas that serve", step, float64(p.share()), p.candidate, p.candidate+p.live)
	for n := replicas + 1; n <= 100; n++ {
		if near(n) {
			return text + fmt.Sprintf("; replicas: %d or a gateway make it %s", n, step)
		}
	}
	return text + fmt.Sprintf("; a gateway makes it %s", step)
}

// splitByReplicas is Split without a gateway, and gives back what the traffic was.
func (t *Target) splitByReplicas(ctx context.Context, r deploy.Revision, share deploy.Percent) (objects.Traffic, error) {
	f, err := t.front.read(ctx)
	switch {
	case err != nil:
		return f, err
	case f.Live == "" || f.Live == r.ID || share == 0 || share == 100:
		return t.move(ctx, r, candidacy(r, share, 0))
	}
	s, err := t.sides(ctx, f.Live, r.ID)
	if err != nil {
		return f, err
	}
	return f, s.divide(ctx, nearest(share, ready(s.candidate), ready(s.live)))
}

// sides are the pods that users can be sent to.
type sides struct {
	*Target
	// candidate and live are those of a revision each, that serve first, then by
	// name; others are of revisions that are neither.
	candidate, live, others []*corev1.Pod
	liveID, candidateID     string
}

// sides reads them; those that end are not among them.
func (t *Target) sides(ctx context.Context, live, candidate string) (sides, error) {
	s := sides{Target: t, liveID: live, candidateID: candidate}
	list, err := t.kube.CoreV1().Pods(t.place.Namespace).List(ctx, metav1.ListOptions{LabelSelector: t.place.Select() + "," + objects.LabelRevision})
	if err != nil {
		return s, err
	}
	for i := range list.Items {
		p := &list.Items[i]
		if p.DeletionTimestamp != nil {
			continue
		}
		switch p.Labels[objects.LabelRevision] {
		case live:
			s.live = append(s.live, p)
		case candidate:
			s.candidate = append(s.candidate, p)
		default:
			if p.Labels[objects.LabelServes] == "" {
				continue // of no revision's workload
			}
			s.others = append(s.others, p)
		}
	}
	for _, side := range [][]*corev1.Pod{s.live, s.candidate} {
		slices.SortFunc(side, func(a, b *corev1.Pod) int {
			return cmp.Or(worse(a)-worse(b), cmp.Compare(a.Name, b.Name))
		})
	}
	return s, nil
}

// worse is lower for a pod that is to serve before others.
func worse(p *corev1.Pod) int {
	n := 0
	if !pods.IsReady(p) {
		n += 2
	}
	if p.Labels[objects.LabelServes] != objects.ServesUsers {
		n++
	}
	return n
}

func ready(side []*corev1.Pod) int {
	n := 0
	for _, p := range side {
		if pods.IsReady(p) {
			n++
		}
	}
	return n
}

// errNoneReady is for a side that is to serve, and cannot.
var errNoneReady = errors.New("none of its replicas is ready")

// divide makes so many replicas of each side serve. Those that are to serve do
// before others stop, and all of that is done before the Service sends anybody to
// both.
func (s sides) divide(ctx context.Context, want parts) error {
	want.candidate, want.live = min(want.candidate, ready(s.candidate)), min(want.live, ready(s.live))
	if want.candidate < 1 || want.live < 1 {
		return errNoneReady
	}
	on := slices.Concat(s.candidate[:want.candidate], s.live[:want.live])
	off := slices.Concat(s.candidate[want.candidate:], s.live[want.live:], s.others)
	before, err := s.front.read(ctx)
	if err != nil {
		return err
	}
	changed, err := s.mark(ctx, on, objects.ServesUsers)
	if err != nil {
		return err
	}
	after := objects.Traffic{Live: s.liveID, Candidate: s.candidateID, Share: want.share()}
	if changed > 0 && before.Shared() {
		if err := (entry{s.Target}).follow(ctx, after, nil, names(on)); err != nil {
			return err
		}
	}
	more, err := s.mark(ctx, off, objects.ServesNobody)
	if err != nil {
		return err
	}
	move := func(f objects.Traffic) (objects.Traffic, error) {
		if f.Live != s.liveID {
			return f, fmt.Errorf("meanwhile somebody has made %q live", f.Live)
		}
		return after, nil
	}
	if _, _, err := (entry{s.Target}).put(ctx, move); err != nil || changed+more == 0 && before == after {
		return err
	}
	return entry{s.Target}.inForce(ctx, after, names(off))
}

func names(pods []*corev1.Pod) map[string]bool {
	all := map[string]bool{}
	for _, p := range pods {
		all[p.Name] = true
	}
	return all
}

// mark says of pods whether they get users, and gives back how many were changed.
func (t *Target) mark(ctx context.Context, pods []*corev1.Pod, serves string) (int, error) {
	cost := "null"
	if serves == objects.ServesNobody {
		cost = `"-1"`
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q},"annotations":{%q:%s}}}`, objects.LabelServes, serves, objects.AnnotationCost, cost)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	n := 0
	for _, p := range pods {
		if p.Labels[objects.LabelServes] == serves {
			continue
		}
		n++
		group.Go(func() error {
			_, err := t.kube.CoreV1().Pods(t.place.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: objects.Manager})
			return unless(absent, err) // another takes its place, and serves
		})
	}
	return n, group.Wait()
}

// proxyLag is given to whoever reads endpoints: kube-proxy writes what it has read
// once a second at most.
const proxyLag = time.Second

// inForce waits until the Service leads to those whom the traffic names, less those
// that stand by, and connections follow.
func (e entry) inForce(ctx context.Context, t objects.Traffic, standby map[string]bool) error {
	if err := e.follow(ctx, t, standby, nil); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("interrupted while users of %s follow: %w", e.place.EntryName(), context.Cause(ctx))
	case <-time.After(proxyLag):
		return nil
	}
}

// follow waits for the endpoints of the Service: as the traffic says less those
// that stand by, or, where some are named, until those are among them.
func (e entry) follow(ctx context.Context, t objects.Traffic, standby, some map[string]bool) error {
	limited, cancel := context.WithTimeout(ctx, takeIn)
	defer cancel()
	ids := []string{t.Pointed()}
	if t.Shared() {
		ids = []string{t.Live, t.Candidate}
	}
	services := []string{e.place.EntryName()}
	for _, id := range ids {
		if id != "" {
			services = append(services, e.place.Name(id))
		}
	}
	met := func(all endpointSlices) bool {
		now, wanted := all.ready(e.place.EntryName()), map[string]bool{}
		for _, service := range services[1:] {
			maps.Copy(wanted, all.ready(service))
		}
		maps.DeleteFunc(wanted, func(pod string, _ bool) bool { return standby[pod] || some != nil && !some[pod] })
		if some != nil {
			maps.DeleteFunc(now, func(pod string, _ bool) bool { return !some[pod] })
		}
		return maps.Equal(now, wanted)
	}
	err := e.endpoints(limited, met, services...)
	if err == nil || ctx.Err() != nil || limited.Err() == nil {
		return err
	}
	return deploy.Hinted(fmt.Errorf("the endpoints of the Service %s do not follow it within %s", e.place.EntryName(), takeIn),
		"look at the cluster's controllers: they make EndpointSlices of Services")
}
