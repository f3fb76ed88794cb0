package objects

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// variablePort is the variable that tells an app where to listen.
const variablePort = "PORT"

// Settings holds the variables of slipway.yaml that are no secrets, for one
// revision, and never changes; nil where there are none.
func (p Place) Settings(r deploy.Revision) *corev1.ConfigMap {
	if len(r.Config.Env) == 0 {
		return nil
	}
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: p.meta(p.Name(r.ID), p.labelsOf(r)),
		Immutable:  ptr(true),
		Data:       r.Config.Env,
	}
}

// fromSettings takes all of them into a container. What is there twice, the
// container's own variables decide.
func (p Place) fromSettings(r deploy.Revision) []corev1.EnvFromSource {
	if len(r.Config.Env) == 0 {
		return nil
	}
	return []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: p.Name(r.ID)},
	}}}
}

// env are the variables of a container beside the Settings: the port, unless
// slipway.yaml gives it another meaning, and the secrets.
func (p Place) env(r deploy.Revision) []corev1.EnvVar {
	var all []corev1.EnvVar
	if _, taken := r.Config.Env[variablePort]; !taken {
		all = append(all, corev1.EnvVar{Name: variablePort, Value: strconv.Itoa(r.Config.Port)})
	}
	return append(all, p.secretVariables(r)...)
}
