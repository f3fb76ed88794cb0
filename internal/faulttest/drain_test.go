package faulttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	discovery "k8s.io/api/discovery/v1"
	policy "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// TestDrain takes all pods of the environment off their node, as kubectl drain does,
// in the middle of a canary and once more when all is quiet. The budgets of both
// versions let one go at a time, so that each always has one that serves; the new
// version takes longer to start than a gate bears with a sick one, and is promoted;
// nobody loses a request.
func TestDrain(t *testing.T) {
	t.Parallel()
	// Whoever goes serves on until a gateway on a busy machine has heard of it.
	slowly := func(e *deploy.Environment) { e.Target.Cluster.PreStop = 10 * time.Second }
	l := newLane(t, newField(t), "drained", canary(4*time.Second), fewPerSecond, slowly)
	r := l.revision(t, "1.1.0", "-start-after", "4s")
	state, err := l.target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	guard := l.serving(state.Live.ID, r.ID)
	var drain sync.WaitGroup
	var begin sync.Once
	told := &diary{listen: func(e deploy.Event) {
		switch {
		case e.Kind == deploy.Observed && e.Stage == 2:
			begin.Do(func() {
				drain.Go(func() { guard.look(t.Context(), t) })
				drain.Go(func() {
					defer guard.end()
					l.drain(t)
				})
			})
		case e.Kind == deploy.StagePassed && e.Stage == 3: // from here on one of them goes
			guard.end()
		}
	}}
	before, losses := l.users.Count(), len(l.users.Losses())
	result := l.deploy(t, rollout.Engine{Reporter: told}, r)
	drain.Wait()
	if result.Outcome != deploy.Promoted {
		t.Errorf("it is %s: %s", result.Outcome, result.Reason)
	}
	if guard.looks == 0 || len(guard.none) > 0 {
		t.Errorf("at %d looks it was seen: %v", guard.looks, guard.none)
	}
	l.settled(t, "1.1.0", deploy.Promoted)
	l.drain(t)
	l.whole(t, r.ID)
	cost := l.since(before, losses, "", nil)
	t.Logf("%d requests, %d looks at who serves", cost.Sent, guard.looks)
	if cost.Lost > 0 {
		t.Errorf("%d of %d requests were lost, such as %s", cost.Lost, cost.Sent, cost.firstLost)
	}
}

// whole waits until both replicas of a revision are ready, after those that there
// were have been taken away.
func (l *lane) whole(t *testing.T, id string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		s, err := l.target.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		running, _ := s.Find(id)
		if len(running.Replicas) == 2 && running.Ready() == 2 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it is not whole again: %+v", running)
		}
	}
}

// drain evicts the pods that there are, all at once, each until it may go.
func (l *lane) drain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	list, err := l.kube.CoreV1().Pods(l.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	var all errgroup.Group
	for i := range list.Items {
		all.Go(func() error { return l.evict(ctx, list.Items[i].Name) })
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

func (l *lane) evict(ctx context.Context, pod string) error {
	for {
		err := l.kube.PolicyV1().Evictions(l.namespace).Evict(ctx, &policy.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: l.namespace}})
		switch {
		case err == nil, apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsTooManyRequests(err):
			return fmt.Errorf("evict %s: %w", pod, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s may not go for %s: %w", pod, patience, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// serving looks whether each of some revisions has somebody who serves.
type serving struct {
	lane  *lane
	ids   []string
	done  chan struct{}
	over  sync.Once
	looks int
	none  []string
}

func (l *lane) serving(ids ...string) *serving {
	return &serving{lane: l, ids: ids, done: make(chan struct{})}
}

func (s *serving) end() { s.over.Do(func() { close(s.done) }) }

// look goes on until the end.
func (s *serving) look(ctx context.Context, t *testing.T) {
	for {
		for _, id := range s.ids {
			list, err := s.lane.kube.DiscoveryV1().EndpointSlices(s.lane.namespace).List(ctx, metav1.ListOptions{
				LabelSelector: discovery.LabelServiceName + "=" + app + "-" + s.lane.env.Name + "-" + id,
			})
			if err != nil {
				t.Error(err)
				return
			}
			s.looks++
			if !anyReady(list.Items) {
				s.none = append(s.none, "nobody serves "+id)
			}
		}
		select {
		case <-s.done:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func anyReady(slices []discovery.EndpointSlice) bool {
	for i := range slices {
		for _, e := range slices[i].Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready {
				return true
			}
		}
	}
	return false
}
