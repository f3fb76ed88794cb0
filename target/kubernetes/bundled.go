package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// bundles are the users' manifests that a target has read, or got from the
// cluster.
type bundles struct {
	// written is what slipway.yaml names now; nil where it names none, or this
	// command brings nothing in.
	written *bundle.Bundle

	mu sync.Mutex
	// byDigest are all that were needed, byRevision those of the revisions that
	// were started or looked at.
	byDigest, byRevision map[string]*bundle.Bundle
	// applied is the revision whose set was applied last, by this process.
	applied string
}

func (b *bundles) note(digest, revision string, one *bundle.Bundle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byDigest == nil {
		b.byDigest, b.byRevision = map[string]*bundle.Bundle{}, map[string]*bundle.Bundle{}
	}
	b.byDigest[digest] = one
	if revision != "" {
		b.byRevision[revision] = one
	}
}

func (b *bundles) of(digest string) *bundle.Bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byDigest[digest]
}

func (b *bundles) ofRevision(id string) *bundle.Bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byRevision[id]
}

// Use has the target bring in what a user's manifests say. It asks nobody.
func (t *Target) Use(b *bundle.Bundle) error {
	if err := b.Fits(t.place); err != nil {
		return err
	}
	if _, err := parted(b); err != nil {
		return err
	}
	t.bundles.written = b
	t.bundles.note(b.Digest, "", b)
	t.stand(b.Front())
	return nil
}

// Recall has the target find users as the run that brought the last version in
// did: by the user's own Service and route, if it had them. It reads one object.
func (t *Target) Recall(ctx context.Context) error {
	f, err := t.frontOf(ctx)
	if err != nil {
		return t.ended(ctx, err, "read by what users come to %s", t)
	}
	t.stand(f)
	return nil
}

// frontOf is by what users come, as the environment's ConfigMap has it.
func (t *Target) frontOf(ctx context.Context) (objects.Front, error) {
	var f objects.Front
	m, err := t.readState(ctx)
	if err != nil || m == nil || m.Data[keyFront] == "" {
		return f, err
	}
	if err := json.Unmarshal([]byte(m.Data[keyFront]), &f); err != nil {
		return f, fmt.Errorf("read %s in the ConfigMap %s/%s: %w", keyFront, m.Namespace, m.Name, err)
	}
	return f, nil
}

// stand chooses what moves users.
func (t *Target) stand(f objects.Front) {
	t.place = t.place.With(f)
	t.front = entry{t}
	if t.place.Cluster.Gateway != nil {
		t.front = route{t}
	}
}

// moved refuses to bring a version in beside one that users reach by another
// object: nobody could give users from one to the other in one write.
func (t *Target) moved(ctx context.Context) error {
	before, err := t.frontOf(ctx)
	now := t.place.Front
	// A route that is new to a Service begins with whom that leads to.
	route := before.Route == now.Route || before.Route == "" && before.Service != ""
	if err != nil || before.Service == now.Service && route && before.Rollout == now.Rollout {
		return err
	}
	if before.Rollout != "" {
		return t.movedFrom(ctx, before.Rollout)
	}
	old := &Target{Client: t.Client, place: t.place, bundles: t.bundles}
	if old.place.Cluster.Gateway == t.place.Front.Gateway {
		old.place.Cluster.Gateway = nil
	}
	old.stand(before)
	traffic, err := old.front.read(ctx)
	if err != nil || traffic.Live == "" {
		return err
	}
	return deploy.Usage("give it the old name, or end what is there as docs/kubernetes.md says under Leaving Slipway, and release anew",
		"users come to %s by %s, and what is to be released brings them in by %s", t, named(old.place), named(t.place))
}

// movedFrom refuses to bring a version in beside one that a Rollout runs.
func (t *Target) movedFrom(ctx context.Context, rollout string) error {
	s, err := t.spoken(ctx)
	if err != nil || s.Live == nil {
		return err
	}
	return deploy.Usage("give the Rollout its old name; or remove it, and with it the environment's ConfigMap "+t.place.State()+", which ends it for its users",
		"users come to %s by the Rollout %s, and what is to be released brings them in by %s", t, rollout, named(t.place))
}

func named(p objects.Place) string {
	if p.Front.Rollout != "" {
		return "the Rollout " + p.Front.Rollout
	}
	text := "the Service " + p.EntryName()
	if p.Cluster.Gateway != nil {
		text += " and the HTTPRoute " + p.RouteName()
	}
	return text
}

// bundle is that of a revision; nil where Slipway makes all that it needs.
func (t *Target) bundle(ctx context.Context, r deploy.Revision) (*bundle.Bundle, error) {
	digest := r.Config.Settings[deploy.SettingManifests]
	if digest == "" {
		return nil, nil // none is an answer
	}
	b := t.bundles.of(digest)
	if b == nil {
		var err error
		if b, err = t.kept(ctx, digest); err != nil {
			return nil, err
		}
	}
	t.bundles.note(digest, r.ID, b)
	return b, nil
}

// partSize is how much of a Bundle one Secret holds, in bytes: together with its
// name it has to stay below the 1 MiB that the cluster takes.
const partSize = 900 << 10

// mostParts bounds how large manifests may be, compressed.
const mostParts = 16

const (
	// setType is the type of the Secrets that keep manifests.
	setType = corev1.SecretType("slipway.dev/manifests")
	setKey  = "manifests.gz"
	// annotationSet is on each of them: the digest; annotationParts is how many
	// there are.
	annotationSet   = "slipway.dev/manifests"
	annotationParts = "slipway.dev/parts"
)

func (t *Target) setName(digest string, part int) string {
	name := t.place.Base() + "-set-" + digest[len("sha256:"):][:13]
	if part > 0 {
		name += fmt.Sprintf("-%d", part)
	}
	return name
}

// parted is a Bundle as it is kept, in parts that a Secret can hold.
func parted(b *bundle.Bundle) ([][]byte, error) {
	data, err := b.Encode()
	if err != nil {
		return nil, err
	}
	if len(data) > mostParts*partSize {
		return nil, deploy.Usage("take large files out of ConfigMaps and Secrets, or divide the app",
			"the manifests are %s when they are compressed, more than the %s that the cluster can keep of them", mebibytes(len(data)), mebibytes(mostParts*partSize))
	}
	return slices.Collect(slices.Chunk(data, partSize)), nil
}

func mebibytes(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// keep puts a Bundle into the cluster, so that its revisions can come back from
// there. One that is there stays.
func (t *Target) keep(ctx context.Context, b *bundle.Bundle) error {
	parts, err := parted(b)
	if err != nil {
		return err
	}
	api, immutable := t.kube.CoreV1().Secrets(t.place.Namespace), true
	for i, part := range parts {
		_, err := api.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Name: t.setName(b.Digest, i), Namespace: t.place.Namespace, Labels: t.place.Labels(),
				Annotations: map[string]string{annotationSet: b.Digest, annotationParts: fmt.Sprint(len(parts))},
			},
			Type: setType, Immutable: &immutable,
			Data: map[string][]byte{setKey: part},
		}, creation)
		if err := unless(apierrors.IsAlreadyExists, err); err != nil {
			return fmt.Errorf("keep the manifests: %w", err)
		}
	}
	return nil
}

// kept is a Bundle that the cluster has.
func (t *Target) kept(ctx context.Context, digest string) (*bundle.Bundle, error) {
	var data []byte
	for part, parts := 0, 1; part < parts; part++ {
		s, err := t.kube.CoreV1().Secrets(t.place.Namespace).Get(ctx, t.setName(digest, part), metav1.GetOptions{})
		if absent(err) {
			return nil, deploy.Hinted(fmt.Errorf("the namespace %s does not have the manifests %s any more", t.place.Namespace, digest),
				"release from the commit that has them")
		}
		if err != nil {
			return nil, err
		}
		data = append(data, s.Data[setKey]...)
		if _, err := fmt.Sscan(s.Annotations[annotationParts], &parts); err != nil || parts > mostParts {
			return nil, fmt.Errorf("the Secret %s does not say of how many parts it is", s.Name)
		}
	}
	return bundle.Decode(data, digest)
}

// workload is the Deployment of a revision in so many replicas.
func (t *Target) workload(ctx context.Context, r deploy.Revision, replicas int) (*appsv1.Deployment, error) {
	b, err := t.bundle(ctx, r)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return t.place.Deployment(r, replicas)
	}
	return b.Deployment(t.place, r, replicas)
}

// ownService is the Service of a revision.
func (t *Target) ownService(ctx context.Context, r deploy.Revision) (*corev1.Service, error) {
	b, err := t.bundle(ctx, r)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return t.place.Service(r), nil
	}
	return b.Service(t.place, r)
}

// The resources of copies.
var copied = map[string]schema.GroupVersionResource{
	"ConfigMap": {Version: "v1", Resource: "configmaps"},
	"Secret":    {Version: "v1", Resource: "secrets"},
}

// copies makes the ConfigMaps and Secrets of a set that its app reads.
func (t *Target) copies(ctx context.Context, b *bundle.Bundle) error {
	all, err := b.Copies(t.place)
	if err != nil {
		return err
	}
	for _, o := range all {
		_, err := t.dynamic.Resource(copied[o.GetKind()]).Namespace(t.place.Namespace).Create(ctx, o, creation)
		if err := unless(apierrors.IsAlreadyExists, err); err != nil {
			return fmt.Errorf("copy %s for its revision: %w", apply.ReferenceOf(o), err)
		}
	}
	return nil
}

// forgetSets removes the kept manifests, and the copies of their settings, that
// are of no digest that is in use.
func (t *Target) forgetSets(ctx context.Context, used map[string]bool) error {
	for _, resource := range copied {
		api := t.heads.Resource(resource).Namespace(t.place.Namespace)
		list, err := api.List(ctx, metav1.ListOptions{LabelSelector: t.place.Select()})
		if err != nil {
			return err
		}
		for i := range list.Items {
			digest := digestIn(&list.Items[i])
			if digest == "" || used[digest] {
				continue
			}
			if err := unless(absent, api.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{})); err != nil {
				return err
			}
		}
	}
	return nil
}

// digestIn is of which manifests an object is kept; empty for others.
func digestIn(o metav1.Object) string {
	annotations := o.GetAnnotations()
	if digest := annotations[annotationSet]; digest != "" {
		return digest
	}
	return annotations[bundle.AnnotationCopy]
}
