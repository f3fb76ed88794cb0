package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// applying is how the environment's manifests are applied.
func (t *Target) applying() apply.Options {
	m := t.place.Cluster.Manifests
	return apply.Options{
		Owner: t.place.Base(), Namespace: t.place.Namespace, Inventory: t.place.Base() + "-applied", Force: m != nil && m.Force,
		Confined: t.place.Preview(),
	}
}

// Applied are the objects of a revision's manifests as they are applied, with the
// users where they are, and how; none where Slipway makes all that it needs.
func (t *Target) Applied(ctx context.Context, r deploy.Revision) ([]*unstructured.Unstructured, apply.Options, error) {
	b, err := t.bundle(ctx, r)
	if err != nil || b == nil {
		return nil, apply.Options{}, err
	}
	if b.Rollout() {
		options := t.applying()
		all, yield, err := driving{t}.conceded(ctx, b, r)
		options.Yield = yield
		return all, options, err
	}
	all, err := t.appliedOf(ctx, b, r)
	return all, t.applying(), err
}

func (t *Target) appliedOf(ctx context.Context, b *bundle.Bundle, r deploy.Revision) ([]*unstructured.Unstructured, error) {
	traffic, err := t.front.read(ctx)
	if err != nil {
		return nil, err
	}
	var live *bundle.Bundle
	if traffic.Live != "" && traffic.Live != r.ID {
		if live, err = t.bundleOfLive(ctx, traffic.Live); err != nil {
			return nil, err
		}
	}
	return b.Applied(t.place, r, traffic, live)
}

// bundleOfLive is that of a revision that runs.
func (t *Target) bundleOfLive(ctx context.Context, id string) (*bundle.Bundle, error) {
	if b := t.bundles.ofRevision(id); b != nil {
		return b, nil
	}
	d, err := t.deployment(ctx, id)
	if err != nil || d == nil {
		return nil, err
	}
	r, err := objects.RevisionOf(d)
	if err != nil {
		return nil, err
	}
	return t.bundle(ctx, r)
}

// bring applies what all revisions share, as the revision's manifests have it, and
// waits for the other workloads in it. What somebody else owns is told before
// anything changes.
func (t *Target) bring(ctx context.Context, r deploy.Revision) error {
	return t.applyAll(ctx, r, t.goesBack(r), true)
}

func (t *Target) applyAll(ctx context.Context, r deploy.Revision, back, wait bool) error {
	t.bundles.mu.Lock()
	done := t.bundles.applied == r.ID
	t.bundles.mu.Unlock()
	if done || r.IsBaseline() {
		return nil
	}
	all, options, err := t.Applied(ctx, r)
	if err != nil || len(all) == 0 {
		return err
	}
	options.Force, options.Returning = options.Force || back, back
	result, err := t.applier.Apply(ctx, all, options)
	t.tell(result)
	if err != nil {
		return fmt.Errorf("apply the manifests: %w", err)
	}
	if wait {
		if err := t.others(ctx, r, all); err != nil {
			return err
		}
	}
	t.bundles.mu.Lock()
	defer t.bundles.mu.Unlock()
	t.bundles.applied = r.ID
	return nil
}

// goesBack reports whether a revision is of other manifests than those that are brought
// in now: it was here before, and its way back waits for nobody. What is taken from others
// for it is told.
func (t *Target) goesBack(r deploy.Revision) bool {
	b := t.bundles.written
	return b == nil || b.Digest != r.Config.Settings[deploy.SettingManifests]
}

// restore applies the live revision's manifests again, after another one's were
// applied and it is gone.
func (t *Target) restore(ctx context.Context, gone deploy.Revision, live string) error {
	if live == "" || live == gone.ID || gone.IsBaseline() || gone.Config.Settings[deploy.SettingManifests] == "" {
		return nil
	}
	d, err := t.deployment(ctx, live)
	if err != nil || d == nil {
		return err
	}
	r, err := objects.RevisionOf(d)
	if err != nil {
		return err
	}
	// Users are back already: nobody waits for the rest, and nobody is asked.
	if err := t.applyAll(ctx, r, true, false); err != nil {
		return err
	}
	all, _, err := t.Applied(ctx, r)
	if err != nil {
		return err
	}
	t.unblock(ctx, all)
	return nil
}

// prune removes what no manifests in use have any more. That it cannot does no
// harm: the next time does it.
func (t *Target) prune(ctx context.Context, live *deploy.Revision) {
	if live == nil {
		return
	}
	all, options, err := t.Applied(ctx, *live)
	if err != nil || len(all) == 0 {
		if err != nil {
			t.log.Warn("look at what is to be pruned", "target", t.String(), "error", err)
		}
		return
	}
	b, err := t.bundle(ctx, *live)
	if err != nil {
		t.log.Warn("look at what is to be pruned", "target", t.String(), "error", err)
		return
	}
	// What has become a hook is not gone.
	pruned, err := t.applier.Prune(ctx, slices.Concat(all, b.HookObjects()), options)
	for _, o := range pruned.Removed {
		t.log.Info("pruned", "object", o.String())
	}
	for _, left := range pruned.Left {
		t.log.Info("left", "object", left.Object.String(), "why", left.Why)
	}
	if err != nil {
		t.log.Warn("prune", "target", t.String(), "error", err)
	}
}

// removeApplied removes all that was applied of manifests, removeHooks what hooks
// were.
func (t *Target) removeApplied(ctx context.Context) error {
	return t.removeInventory(ctx, t.applying())
}

func (t *Target) removeHooks(ctx context.Context) error { return t.removeInventory(ctx, t.hooking()) }

// removeInventory removes what an inventory has, and then itself.
func (t *Target) removeInventory(ctx context.Context, options apply.Options) error {
	api := t.kube.CoreV1().ConfigMaps(t.place.Namespace)
	_, err := api.Get(ctx, options.Inventory, metav1.GetOptions{})
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	pruned, err := t.applier.Prune(ctx, nil, options)
	if err != nil {
		return err
	}
	t.tellLeft(pruned)
	for _, left := range pruned.Left {
		if left.Object.Kind == "Service" && left.Object.Name == t.place.Front.Service {
			if err := t.returnService(ctx); err != nil {
				return err
			}
		}
	}
	return unless(absent, api.Delete(ctx, options.Inventory, metav1.DeleteOptions{}))
}

// tellLeft says what stays although its environment goes.
func (t *Target) tellLeft(pruned apply.Pruned) {
	for _, left := range pruned.Left {
		t.log.Warn("left", "object", left.Object.String(), "why", left.Why)
	}
}

// byHash are labels that tell the pods of one version of a workload from those of
// another; the cluster puts them there.
var byHash = []string{"pod-template-hash", "controller-revision-hash"}

// pinned is the selector of a Service that was there before Slipway, narrowed to
// the pods that it leads to now: the pods of a candidate have the same labels, and
// must not get users yet.
func (t *Target) pinned(ctx context.Context, earlier map[string]string) (map[string]string, error) {
	list, err := t.kube.CoreV1().Pods(t.place.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set(earlier).String()})
	if err != nil {
		return nil, err
	}
	var old []corev1.Pod
	for i := range list.Items {
		if list.Items[i].Labels[objects.LabelApp] == "" {
			old = append(old, list.Items[i])
		}
	}
	if len(old) == 0 {
		return t.place.Pods(""), nil
	}
	for _, label := range byHash {
		hashes := map[string]bool{}
		for i := range old {
			hashes[old[i].Labels[label]] = true
		}
		if hash := old[0].Labels[label]; len(hashes) == 1 && hash != "" {
			narrow := map[string]string{label: hash}
			for key, value := range earlier {
				narrow[key] = value
			}
			return narrow, nil
		}
	}
	names := make([]string, len(old))
	for i := range old {
		names[i] = old[i].Name
	}
	return nil, deploy.Hinted(fmt.Errorf("the Service %s leads to pods of several versions: %s", t.place.EntryName(), strings.Join(names, ", ")),
		"wait until the workload that they belong to has rolled out; then release")
}

// provideSet makes what a revision of a user's manifests needs before its pods:
// the manifests, kept; the settings that they read, copied; and all else that they
// have.
func (t *Target) provideSet(ctx context.Context, r deploy.Revision) error {
	b, err := t.bundle(ctx, r)
	if err != nil {
		return err
	}
	if err := t.inNamespace(ctx); err != nil {
		return err
	}
	if err := t.bound(ctx, r); err != nil { // the set has pods of its own
		return err
	}
	// Before all that is kept: what is refused has to change nothing.
	if err := t.tryAutoscaler(ctx, r); err != nil {
		return err
	}
	if err := t.bring(ctx, r); err != nil {
		return err
	}
	if err := t.keep(ctx, b); err != nil {
		return err
	}
	return t.copies(ctx, b)
}

// inNamespace makes the namespace where slipway.yaml names one that is not there.
func (t *Target) inNamespace(ctx context.Context) error {
	_, err := t.kube.CoreV1().Namespaces().Get(ctx, t.place.Namespace, metav1.GetOptions{})
	if absent(err) {
		return t.makeNamespace(ctx, err)
	}
	return err
}
