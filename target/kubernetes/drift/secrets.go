package drift

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Secrets are those of an environment, in whose objects they are.
type Secrets struct {
	Kube  client.Interface
	Place objects.Place
}

// Lost is a version of a secret that is not there as it was.
type Lost struct {
	secret    deploy.Secret
	namespace string
	// live is the object that has another value; nil where there is none.
	live *corev1.Secret
}

// Lost finds the secrets of revisions that are not there with the value that they
// had.
func (s Secrets) Lost(ctx context.Context, of []deploy.Revision) ([]Lost, error) {
	var all []Lost
	seen := map[string]bool{}
	for _, r := range of {
		for _, secret := range r.Secrets {
			name := s.Place.SecretName(secret)
			if seen[name] {
				continue
			}
			seen[name] = true
			lost := Lost{secret: secret, namespace: s.Place.Namespace}
			live, err := s.api().Get(ctx, name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				all = append(all, lost)
			case err != nil:
				return nil, err
			case s.version(secret, string(live.Data[secret.Name])) != secret.Version:
				lost.live = live
				all = append(all, lost)
			}
		}
	}
	return all, nil
}

func (s Secrets) api() typed.SecretInterface { return s.Kube.CoreV1().Secrets(s.Place.Namespace) }

// version is the one that a value of a secret would have.
func (s Secrets) version(of deploy.Secret, value string) string {
	return deploy.NewSecret(s.Place.App, s.Place.Environment, of.Name, value).Version
}

func (l Lost) told() deploy.Difference {
	d := deploy.Difference{Object: "Secret " + l.namespace + "/" + l.secret.String(), Change: deploy.DriftMissing}
	if l.live == nil {
		return d
	}
	d.Object = "Secret " + l.namespace + "/" + l.live.Name
	d.Change, d.Field, d.Applied, d.Live = deploy.DriftChanged, ".data."+l.secret.Name, apply.Hidden, apply.Hidden
	return By(d, l.live.ManagedFields, func(metav1.ManagedFieldsEntry) bool { return true })
}

// Restore brings back those whose value somebody has, of the version that is missing.
func (s Secrets) Restore(ctx context.Context, all []Lost, value func(name string) string) error {
	var errs []error
	for _, l := range all {
		given := value(l.secret.Name)
		if given == "" || s.version(l.secret, given) != l.secret.Version {
			errs = append(errs, deploy.Hinted(fmt.Errorf("the value of the secret %s is in no record", l.secret),
				"give the value that it had as the environment variable %s, or release with another one", l.secret.Name))
			continue
		}
		errs = append(errs, s.putBack(ctx, l, deploy.KnownSecret(l.secret.Name, l.secret.Version, given)))
	}
	return errors.Join(errs...)
}

// putBack replaces an object with another value, which cannot be changed.
func (s Secrets) putBack(ctx context.Context, l Lost, known deploy.Secret) error {
	if l.live != nil {
		err := s.api().Delete(ctx, l.live.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.live.UID}})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	_, err := s.api().Create(ctx, s.Place.Secret(known), metav1.CreateOptions{FieldManager: objects.Manager})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
