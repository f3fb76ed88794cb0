package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/workshop"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

const (
	// mostUntilVerdict is how long it may take from what the kubelet says of an
	// image that is not there to the verdict.
	mostUntilVerdict = 3 * time.Second
	// mostRestarts are those of a version that crashes, at the verdict.
	mostRestarts = 2
)

// dooming starts versions that never come up, until slipway says so.
func (b *bench) dooming(ctx context.Context) (_ []row, err error) {
	const ns = "bench-verdict"
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), ns)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, env, err := b.target(ctx, ns)
	if err != nil {
		return nil, err
	}
	image, err := b.image(ctx, ns, versions[0])
	if err != nil {
		return nil, err
	}
	var told []time.Duration
	most := 0
	for n := range either(b, 5, 1) {
		missing := image
		missing.Digest = fmt.Sprintf("sha256:%064x", n+1)
		at, err := b.doomed(ctx, t, deploy.NewRevision("hello", env, missing, nil), ns)
		if err != nil {
			return nil, fmt.Errorf("an image that is not there: %w", err)
		}
		if at.reported.IsZero() {
			return nil, errors.New("the kubelet's report was not seen")
		}
		told = append(told, at.verdict.Sub(at.reported).Round(time.Millisecond))

		crashing := env
		crashing.Service.Env = maps.Clone(env.Service.Env)
		crashing.Service.Env["SPREAD"] = fmt.Sprint(9 + n) // it refuses that, and exits
		at, err = b.doomed(ctx, t, deploy.NewRevision("hello", crashing, image, nil), ns)
		if err != nil {
			return nil, fmt.Errorf("a crash loop: %w", err)
		}
		if at.restarts == 0 {
			return nil, errors.New("no restart was seen of what crashes")
		}
		most = max(most, at.restarts)
	}
	longest := workshop.Quantile(told, 1)
	b.add(figure{
		name:     "an image that is not there: from the kubelet's report to the verdict",
		measured: fmt.Sprintf("median %s, longest %s of %d", workshop.Quantile(told, 0.5), longest, len(told)),
		goal:     fmt.Sprintf("≤ %s", mostUntilVerdict), missed: longest > mostUntilVerdict,
	})
	b.add(figure{
		name: "a crash loop: restarts at the verdict", measured: fmt.Sprintf("at most %d of %d times", most, len(told)),
		goal: fmt.Sprintf("≤ %d", mostRestarts), broken: most > mostRestarts,
	})
	return nil, nil
}

// fate is what came of a version that does not come up.
type fate struct {
	// reported is when the kubelet's word that it cannot have the image was there
	// to be read; zero where it had it.
	reported, verdict time.Time
	restarts          int
}

// doomed starts a revision, which has to be refused, and watches its pods beside.
func (b *bench) doomed(ctx context.Context, t deploy.Target, r deploy.Revision, ns string) (f fate, err error) {
	watched, leave := context.WithCancel(ctx)
	defer leave()
	seen := make(chan fate, 1)
	go func() { seen <- b.follow(watched, ns, r.Image.Digest) }()
	err = t.Start(ctx, r)
	verdict := time.Now()
	leave()
	f = <-seen
	f.verdict = verdict
	// What a busy cluster has not told the watch yet was there before the verdict.
	pods, failed := b.client.CoreV1().Pods(ns).List(ctx, meta.ListOptions{})
	if failed != nil {
		return f, failed
	}
	for i := range pods.Items {
		f.learn(&pods.Items[i], r.Image.Digest, verdict)
	}
	d, is := errors.AsType[*deploy.Doomed](err)
	switch {
	case err == nil:
		return f, fmt.Errorf("%s has started", r)
	case !is:
		return f, fmt.Errorf("it was not doomed: %w", err)
	}
	say("  %s: %s", r, d.Evidence.Reason)
	return f, t.Stop(ctx, r)
}

// follow watches the pods of an image until ctx ends.
func (b *bench) follow(ctx context.Context, ns, digest string) (f fate) {
	api := b.client.CoreV1().Pods(ns)
	pods := feed.Feed{What: "pods", List: feed.Listing(api.List), Watch: api.Watch}
	pods.Follow(ctx, func(n feed.News) {
		for _, o := range append(n.All, n.Changed) {
			if pod, is := o.(*core.Pod); is {
				f.learn(pod, digest, time.Now())
			}
		}
	})
	return f
}

// learn takes in what is told of a pod of the image at a moment.
func (f *fate) learn(pod *core.Pod, digest string, at time.Time) {
	if !strings.Contains(pod.Spec.Containers[0].Image, digest) {
		return
	}
	for _, c := range pod.Status.ContainerStatuses {
		f.restarts = max(f.restarts, int(c.RestartCount))
		if w := c.State.Waiting; w != nil && (w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff") && f.reported.IsZero() {
			f.reported = at
		}
	}
}
