package pods

import (
	"context"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// noticing is how long a controller may take to see a new generation of its object.
const noticing = 30 * time.Second

// object is a workload, as noticed looks at it.
type object interface {
	runtime.Object
	metav1.Object
}

// noticed is an object whose controller has seen its current generation.
func noticed[T object](ctx context.Context, f feed.Feed, name string, observed func(T) int64) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, noticing, fmt.Errorf("its controller has not looked at it within %s", noticing))
	defer cancel()
	var found T
	err := feed.Until(ctx, f, func(all map[string]T) (bool, error) {
		one, is := all[name]
		if !is {
			return false, fmt.Errorf("the %s is not there", f.What)
		}
		found = one
		return observed(one) >= one.GetGeneration(), nil
	})
	return found, err
}

// Newest is by which labels the pods of a Deployment's current template are found,
// and how many are wanted; those of older templates have others. It waits until the
// controller has seen the current generation, half a minute at most.
func Newest(ctx context.Context, client kubernetes.Interface, namespace, name string) (selector string, want int, err error) {
	f, err := Workload{Kind: "Deployment", Name: name}.feed(client, namespace)
	if err != nil {
		return "", 0, err
	}
	d, err := noticed(ctx, f, name, func(d *appsv1.Deployment) int64 { return d.Status.ObservedGeneration })
	if err != nil {
		return "", 0, err
	}
	by, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return "", 0, err
	}
	list, err := client.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{LabelSelector: by.String()})
	if err != nil {
		return "", 0, err
	}
	selector, want = by.String(), 1
	if d.Spec.Replicas != nil {
		want = int(*d.Spec.Replicas)
	}
	if hash := newestHash(d, list.Items); hash != "" {
		selector += "," + appsv1.DefaultDeploymentUniqueLabelKey + "=" + hash
	}
	return selector, want, nil
}

// revisionOf is on Deployments and their ReplicaSets: a number that the newest has the
// highest of.
const revisionOf = "deployment.kubernetes.io/revision"

// newestHash tells the pods of a Deployment's newest ReplicaSet; empty where it has
// none.
func newestHash(d *appsv1.Deployment, sets []appsv1.ReplicaSet) string {
	hash, highest := "", int64(-1)
	for i := range sets {
		s := &sets[i]
		n, err := strconv.ParseInt(s.Annotations[revisionOf], 10, 64)
		if err != nil || n <= highest || !metav1.IsControlledBy(s, d) {
			continue
		}
		hash, highest = s.Labels[appsv1.DefaultDeploymentUniqueLabelKey], n
	}
	return hash
}
