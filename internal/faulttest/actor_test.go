package faulttest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	autoscaling "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

var routes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

// somebody is who works in the cluster beside Slipway.
const somebody = "somebody"

func (l *lane) route(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	all, err := dynamic.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	return all.Resource(routes).Namespace(l.namespace)
}

// edit changes the rules of the route as kubectl edit does.
func edit(ctx context.Context, api dynamic.ResourceInterface, name string, change func([]any) []any) error {
	for {
		o, err := api.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		rules, _, err := unstructured.NestedSlice(o.Object, "spec", "rules")
		if err != nil {
			return err
		}
		if err := unstructured.SetNestedSlice(o.Object, change(rules), "spec", "rules"); err != nil {
			return err
		}
		if _, err = api.Update(ctx, o, metav1.UpdateOptions{FieldManager: somebody}); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// canary is one whose users nobody counts.
func canary(hold time.Duration) deploy.Strategy {
	return deploy.Strategy{
		Kind: deploy.Canary, Steps: []deploy.Percent{50, 100}, Hold: hold,
		Judging: deploy.Judging{MaxHold: hold, OnUnknown: deploy.OnUnknownPromote},
	}
}

// TestSecondActor lets somebody change the route, the number of replicas and a
// Service in the middle of a canary: the release ends as it would have, what they
// changed stays, and nobody loses a request.
func TestSecondActor(t *testing.T) {
	t.Parallel()
	l := newLane(t, newField(t), "edited", canary(3*time.Second), fewPerSecond)
	api, name := l.route(t), app+"-"+l.env.Name
	r := l.revision(t, "1.1.0")
	told := &diary{listen: func(e deploy.Event) {
		if e.Kind != deploy.Observed || e.Stage != 2 {
			return
		}
		if err := l.meddle(t.Context(), api, name, r); err != nil {
			t.Error(err)
		}
	}}
	before, losses := l.users.Count(), len(l.users.Losses())
	result := l.deploy(t, rollout.Engine{Reporter: told}, r)
	if result.Outcome != deploy.Promoted {
		t.Errorf("it is %s: %s", result.Outcome, result.Reason)
	}
	l.settled(t, "1.1.0", deploy.Promoted)
	if cost := l.since(before, losses, "", nil); cost.Lost > 0 {
		t.Errorf("%d of %d requests were lost, such as %s", cost.Lost, cost.Sent, cost.firstLost)
	}

	o, err := api.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(o.Object["spec"])
	for _, theirs := range []string{"/theirs", "X-Theirs"} {
		if !strings.Contains(text, theirs) {
			t.Errorf("their %s is gone from the route: %s", theirs, text)
		}
	}
	s, err := l.kube.CoreV1().Services(l.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || s.Annotations["example.com/theirs"] != "yes" {
		t.Errorf("their annotation is gone from the Service: %v, %v", s.Annotations, err)
	}
	d, err := l.kube.AppsV1().Deployments(l.namespace).Get(t.Context(), name+"-"+r.ID, metav1.GetOptions{})
	if err != nil || d.Spec.Replicas == nil || *d.Spec.Replicas != 3 {
		t.Errorf("their number of replicas is gone: %+v, %v", d.Spec.Replicas, err)
	}
}

// meddle adds a rule and a filter to the route, a note to the Service, and a replica
// to the new version.
func (l *lane) meddle(ctx context.Context, api dynamic.ResourceInterface, name string, r deploy.Revision) error {
	already := false
	err := edit(ctx, api, name, func(rules []any) []any {
		first := rules[0].(map[string]any)
		if _, already = first["filters"]; already {
			return rules
		}
		first["filters"] = []any{map[string]any{
			"type":                   "ResponseHeaderModifier",
			"responseHeaderModifier": map[string]any{"set": []any{map[string]any{"name": "X-Theirs", "value": "yes"}}},
		}}
		return append(rules, map[string]any{
			"matches": []any{map[string]any{"path": map[string]any{"type": "Exact", "value": "/theirs"}}},
			"filters": []any{map[string]any{
				"type": "RequestRedirect", "requestRedirect": map[string]any{"hostname": "theirs.example.com", "statusCode": int64(302)},
			}},
		})
	})
	if err != nil || already {
		return err
	}
	services := l.kube.CoreV1().Services(l.namespace)
	s, err := services.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations["example.com/theirs"] = "yes"
	if _, err := services.Update(ctx, s, metav1.UpdateOptions{FieldManager: somebody}); err != nil {
		return err
	}
	_, err = l.kube.AppsV1().Deployments(l.namespace).UpdateScale(ctx, name+"-"+r.ID, &autoscaling.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-" + r.ID, Namespace: l.namespace}, Spec: autoscaling.ScaleSpec{Replicas: 3},
	}, metav1.UpdateOptions{FieldManager: somebody})
	return err
}

// TestFightForWeights lets somebody give all users back to the old version as often
// as they can, while a canary holds: it is told who it was, Slipway writes no more
// often than it would have, and the release ends.
func TestFightForWeights(t *testing.T) {
	t.Parallel()
	l := newLane(t, newField(t), "fought", canary(4*time.Second), fewPerSecond)
	var said safely
	open, err := access.Open(t.Context(), access.Options{Files: []string{l.kubeconfig}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.New(t.Context(), open, kubernetes.Options{Users: l.way, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l.target = c.Target(app, l.env)
	api, name := l.route(t), app+"-"+l.env.Name
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var fight sync.WaitGroup
	defer fight.Wait()
	var begin sync.Once
	writes, atOnce := 0, false
	told := &diary{listen: func(e deploy.Event) {
		switch {
		case e.Kind == deploy.Observed && e.Stage == 2:
			begin.Do(func() {
				fight.Go(func() {
					for ctx.Err() == nil {
						if err := edit(ctx, api, name, allToTheFirst); err != nil && ctx.Err() == nil {
							t.Error(err)
							return
						}
						writes++
						time.Sleep(100 * time.Millisecond)
					}
				})
			})
		case e.Kind == deploy.StagePassed && e.Stage == 2:
			atOnce = strings.Contains(said.String(), "by="+somebody)
			stop()
			fight.Wait()
		}
	}}
	before, losses := l.users.Count(), len(l.users.Losses())
	result := l.deploy(t, rollout.Engine{Reporter: told}, l.revision(t, "1.1.0"))
	if result.Outcome != deploy.Promoted {
		t.Errorf("it is %s: %s", result.Outcome, result.Reason)
	}
	l.settled(t, "1.1.0", deploy.Promoted)
	if cost := l.since(before, losses, "", nil); cost.Lost > 0 {
		t.Errorf("%d of %d requests were lost, such as %s", cost.Lost, cost.Sent, cost.firstLost)
	}
	ours := c.Requests()["update httproutes"]
	t.Logf("they wrote %d times, Slipway %d times: %s", writes, ours, said.String())
	if writes < 2 || ours > 8 {
		t.Errorf("they wrote %d times, Slipway %d times", writes, ours)
	}
	if n := strings.Count(said.String(), "somebody else has changed which users"); n == 0 || n > ours || !strings.Contains(said.String(), "by="+somebody) {
		t.Errorf("it is told %d times: %s", n, said.String())
	}
	if !atOnce {
		t.Error("it is told at the next step, and not when it happens")
	}
}

// allToTheFirst gives all weight of a rule to the first of its backends.
func allToTheFirst(rules []any) []any {
	refs, _ := rules[0].(map[string]any)["backendRefs"].([]any)
	for i, entry := range refs {
		ref := entry.(map[string]any)
		if ref["weight"] = int64(0); i == 0 {
			ref["weight"] = int64(1)
		}
	}
	return rules
}

// safely is a buffer for several goroutines.
type safely struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *safely) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *safely) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
