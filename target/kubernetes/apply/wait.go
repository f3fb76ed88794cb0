package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/slipway-ci/slipway/deploy"
)

// wait waits for what later stages need of this one.
func (r *run) wait(ctx context.Context, s stage, objects []*unstructured.Unstructured) error {
	switch s {
	case namespaces:
		return errors.Join(r.each(ctx, objects, func(ctx context.Context, o *unstructured.Unstructured) error {
			return r.client.until(ctx, r.places.at(o), ReferenceOf(o), "active", active, r.options)
		})...)
	case definitions:
		return errors.Join(r.each(ctx, objects, func(ctx context.Context, o *unstructured.Unstructured) error {
			return r.client.until(ctx, r.places.at(o), ReferenceOf(o), "established", established, r.options)
		})...)
	}
	return nil
}

// ready says whether an object is; why says what it waits for, and an error that
// it never will be.
type ready func(*unstructured.Unstructured) (done bool, why string, err error)

func active(o *unstructured.Unstructured) (done bool, why string, err error) {
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	if o.GetDeletionTimestamp() != nil {
		return false, phase, errors.New("it is being removed")
	}
	return phase == "Active", "its phase is " + phase, nil
}

func established(o *unstructured.Unstructured) (done bool, why string, err error) {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		condition, ok := c.(map[string]any)
		if !ok {
			continue
		}
		kind, _, _ := unstructured.NestedString(condition, "type")
		status, _, _ := unstructured.NestedString(condition, "status")
		message, _, _ := unstructured.NestedString(condition, "message")
		switch {
		case kind == "NamesAccepted" && status == "False":
			return false, message, deploy.Hinted(errors.New(message), "another definition has these names: kubectl get crd")
		case kind == "Established":
			done, why = status == "True", message
		}
	}
	return done, why, nil
}

// until watches one object until it is ready, for at most Options.Wait.
func (c *Client) until(ctx context.Context, at place, r Reference, what string, is ready, o Options) error {
	ends := time.Now().Add(o.wait())
	why := ""
	for time.Now().Before(ends) && ctx.Err() == nil {
		live, err := c.live(ctx, at, r, o)
		if err != nil {
			return err
		}
		if live == nil {
			return fmt.Errorf("%s was removed while it was waited for", r)
		}
		done, last, err := is(live)
		if done || err != nil {
			return saying(r, err)
		}
		if why = last; c.watch(ctx, at, r, live.GetResourceVersion(), time.Until(ends), is) != nil {
			// A watch that breaks is not hurried after.
			pause(ctx, 200*time.Millisecond)
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted while waiting for %s to be %s: %w", r, what, ctx.Err())
	}
	return deploy.Hinted(fmt.Errorf("timed out after %s waiting for %s to be %s: %s", o.wait(), r, what, why), "kubectl describe says more")
}

func saying(r Reference, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", r, err)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watch returns nil when something has happened to an object that decides, and
// an error when the watch ended otherwise.
func (c *Client) watch(ctx context.Context, at place, r Reference, version string, limit time.Duration, is ready) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	events, err := c.dynamic.Resource(at.resource).Watch(ctx, metav1.ListOptions{
		FieldSelector: "metadata.name=" + r.Name, ResourceVersion: version,
	})
	if err != nil {
		return err
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		o, ok := e.Object.(*unstructured.Unstructured)
		if !ok || e.Type == watch.Error {
			return errors.New("the watch ended")
		}
		if done, _, err := is(o); done || err != nil || e.Type == watch.Deleted {
			return nil
		}
	}
	return ctx.Err()
}
