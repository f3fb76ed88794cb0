package bundle

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Applied are the objects that a set is applied as, with the users where they are:
// all but the app's workload and its autoscaler, which each revision has of its own.
// Containers with
// an image of the app's repository, or of that which is written for the app's own
// container, get that of the revision. What decides who has
// the users is kept: the Service is without its selector, the route has the
// weights of the traffic.
//
// Live is what users have, where that is of other manifests: it keeps its ports in
// front until users are moved. It may be nil.
func (b *Bundle) Applied(p objects.Place, r deploy.Revision, t objects.Traffic, live *Bundle) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, written := range b.Set.Objects {
		o := written.DeepCopy()
		switch written {
		case b.App.Workload, b.App.Template:
			continue
		case b.App.Service:
			unstructured.RemoveNestedField(o.Object, "spec", "selector")
			if err := keepPorts(o, live); err != nil {
				return nil, err
			}
		case b.App.Route:
			led, err := p.OwnRoute(written, t)
			if err == nil {
				err = rehost(led, p)
			}
			if err != nil {
				return nil, err
			}
			o = led
		case b.App.Autoscaler:
			continue
		}
		all = append(all, o)
	}
	manifests.Replace(all, manifests.ImageOf(b.App), r.Image.Reference())
	manifests.SetImage(all, manifests.App{}, r.Image.Reference())
	return all, nil
}

// Unbuilt stands for the app's image before it is built.
func (b *Bundle) Unbuilt() deploy.Image { return manifests.Unbuilt(manifests.ImageOf(b.App)) }

func keepPorts(service *unstructured.Unstructured, live *Bundle) error {
	if live == nil || live.App.Service == nil {
		return nil
	}
	ports, found, err := unstructured.NestedSlice(live.App.Service.Object, "spec", "ports")
	if err != nil || !found {
		return err
	}
	return unstructured.SetNestedSlice(service.Object, ports, "spec", "ports")
}

// Service is a revision's own, by which routes send users to it: with the ports of
// the user's Service.
func (b *Bundle) Service(p objects.Place, r deploy.Revision) (*corev1.Service, error) {
	ports, err := b.EntryPorts()
	if err != nil {
		return nil, err
	}
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: p.Name(r.ID), Namespace: p.Namespace, Labels: with(p.Labels(), p.Pods(r.ID))},
		Spec:       corev1.ServiceSpec{Selector: p.Pods(r.ID), Ports: ports},
	}, nil
}

// EntryPorts are those by which the revision is reached: of the user's Service,
// else Slipway's own one.
func (b *Bundle) EntryPorts() ([]corev1.ServicePort, error) {
	ports, err := b.ports()
	if err != nil || len(ports) > 0 {
		return ports, err
	}
	return []corev1.ServicePort{{
		Name: "http", Port: objects.ServicePort, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(int32(b.port)),
	}}, nil
}
