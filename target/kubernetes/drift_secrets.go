package kubernetes

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
)

// lost is a version of a secret that is not there as it was.
type lost struct {
	secret deploy.Secret
	// live is the object that has another value; nil where there is none.
	live *corev1.Secret
}

// lost finds the secrets of the revisions that are not there with the value that
// they had.
func (t *Target) lost(ctx context.Context, l left) ([]lost, error) {
	var all []lost
	seen := map[string]bool{}
	for _, r := range l.revisions() {
		for _, s := range r.Secrets {
			name := t.place.SecretName(s)
			if seen[name] {
				continue
			}
			seen[name] = true
			live, err := t.kube.CoreV1().Secrets(t.place.Namespace).Get(ctx, name, metav1.GetOptions{})
			switch {
			case absent(err):
				all = append(all, lost{secret: s})
			case err != nil:
				return nil, err
			case t.version(s, string(live.Data[s.Name])) != s.Version:
				all = append(all, lost{secret: s, live: live})
			}
		}
	}
	return all, nil
}

// version is the one that a value of a secret would have.
func (t *Target) version(s deploy.Secret, value string) string {
	return deploy.NewSecret(t.place.App, t.place.Environment, s.Name, value).Version
}

func (l lost) told(namespace string) deploy.Difference {
	d := deploy.Difference{Object: "Secret " + namespace + "/" + l.secret.String(), Change: deploy.DriftMissing}
	if l.live == nil {
		return d
	}
	d.Object = "Secret " + namespace + "/" + l.live.Name
	d.Change, d.Field, d.Applied, d.Live = deploy.DriftChanged, ".data."+l.secret.Name, apply.Hidden, apply.Hidden
	return by(d, l.live.ManagedFields, func(metav1.ManagedFieldsEntry) bool { return true })
}

// restoreSecrets brings back secrets whose value somebody has, of the version that
// is missing.
func (t *Target) restoreSecrets(ctx context.Context, c comparison, value func(name string) string) error {
	var errs []error
	for _, l := range c.secrets {
		given := value(l.secret.Name)
		if given == "" || t.version(l.secret, given) != l.secret.Version {
			errs = append(errs, deploy.Hinted(fmt.Errorf("the value of the secret %s is in no record", l.secret),
				"give the value that it had as the environment variable %s, or release with another one", l.secret.Name))
			continue
		}
		errs = append(errs, t.putBack(ctx, l, deploy.KnownSecret(l.secret.Name, l.secret.Version, given)))
	}
	return errors.Join(errs...)
}

// putBack replaces an object with another value, which cannot be changed.
func (t *Target) putBack(ctx context.Context, l lost, s deploy.Secret) error {
	api := t.kube.CoreV1().Secrets(t.place.Namespace)
	if l.live != nil {
		if err := unless(absent, api.Delete(ctx, l.live.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.live.UID}})); err != nil {
			return err
		}
	}
	_, err := api.Create(ctx, t.place.Secret(s), creation)
	return unless(apierrors.IsAlreadyExists, err)
}
