package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/slipway-ci/slipway/deploy"
)

// The texts of a target in a cluster. Place names may hold
// deploy.EnvironmentPlace.
type (
	contextName string
	placeName   string
	placeHost   string
	quantity    string
	podUser     string
	objectName  string
	chartValue  string
	releaseName string
)

// environmentPlace is deploy.EnvironmentPlace in a pattern.
const environmentPlace = `\{environment\}`

var (
	contextForm = newForm(`^\S(.{0,251}\S)?$`,
		"the name of a context", "kubectl config get-contexts lists them")
	placeNameForm = newForm(`^([a-z0-9]|`+environmentPlace+`)(([a-z0-9-]|`+environmentPlace+`)*([a-z0-9]|`+environmentPlace+`))?$`,
		"a namespace of a-z, 0-9 and -, such as hello", "{environment} in it stands for the name of the environment")
	placeHostForm = newForm(`^([a-z0-9-]|`+environmentPlace+`)+(\.([a-z0-9-]|`+environmentPlace+`)+)*$`,
		"a host name such as hello.example.com", "write the name alone, in lower case, without scheme, port and path")
	quantityForm = newForm(`^([1-9][0-9]*(\.[0-9]+)?|0?\.[0-9]*[1-9][0-9]*)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$`,
		"a quantity such as 250m or 128Mi", "write CPUs such as 250m or 2, and memory such as 128Mi or 1Gi")
	objectNameForm = newForm(`^([A-Z][A-Za-z]*/)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`,
		"the name of an object, such as web or Deployment/web", "write its name as the manifests have it")
	chartValueForm = newForm(`^[^=\s][^=\n]*=`,
		"a value as KEY=VALUE", "write one such as replicas=3")
	releaseForm = newForm(placeNameForm.pattern.String(),
		"the name of a chart's release, such as shop", "write a-z, 0-9 and -; {environment} in it stands for the name of the environment")
	podUserForm = newForm(`^(image|[1-9][0-9]{0,8})$`,
		"a user's number above 0, or image", "write one such as 1000: nothing runs as root")
)

func (v *contextName) read(r *reader, p place) bool { return readText(r, p, v, contextForm) }
func (v *placeName) read(r *reader, p place) bool   { return readText(r, p, v, placeNameForm) }
func (v *placeHost) read(r *reader, p place) bool   { return readText(r, p, v, placeHostForm) }
func (v *quantity) read(r *reader, p place) bool    { return readScalar(r, p, v, quantityForm) }
func (v *objectName) read(r *reader, p place) bool  { return readText(r, p, v, objectNameForm) }
func (v *chartValue) read(r *reader, p place) bool  { return readText(r, p, v, chartValueForm) }
func (v *releaseName) read(r *reader, p place) bool { return readText(r, p, v, releaseForm) }
func (v *podUser) read(r *reader, p place) bool     { return readScalar(r, p, v, podUserForm) }

// readScalar reads a text that may be written as a number.
func readScalar[T ~string](r *reader, p place, into *T, f form) bool {
	s, scalar := text(p.value)
	if !scalar || !f.pattern.MatchString(s) {
		return r.wrong(p, f.expected, f.hint)
	}
	*into = T(s)
	return true
}

func (contextName) JSONSchema() *jsonschema.Schema { return contextForm.schema() }
func (placeName) JSONSchema() *jsonschema.Schema   { return placeNameForm.schema() }
func (placeHost) JSONSchema() *jsonschema.Schema   { return placeHostForm.schema() }

func (releaseName) JSONSchema() *jsonschema.Schema { return releaseForm.schema() }

func (objectName) JSONSchema() *jsonschema.Schema { return objectNameForm.schema() }
func (chartValue) JSONSchema() *jsonschema.Schema { return chartValueForm.schema() }

func (quantity) JSONSchema() *jsonschema.Schema { return orNumber(quantityForm, "number") }
func (podUser) JSONSchema() *jsonschema.Schema  { return orNumber(podUserForm, "integer") }

// orNumber is a text, or a number above 0 that is written without quotes.
func orNumber(f form, kind string) *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		f.schema(), {Type: kind, ExclusiveMinimum: number(0)},
	}}
}

// compile is the place in a cluster; nothing where no settings were given.
func (k *kubernetes) compile() deploy.Cluster {
	if k == nil {
		return deploy.Cluster{}
	}
	c := deploy.Cluster{
		Context: string(or(k.Context, "")), Namespace: string(or(k.Namespace, "")),
		PreStop: time.Duration(or(k.PreStop, 0)), Isolated: bool(or(k.Isolated, false)),
		Autoscale: k.Autoscale.compile(),
		Pod:       deploy.Pod{CPU: string(or(k.CPU, "")), Memory: string(or(k.Memory, "")), User: string(or(k.User, ""))},
	}
	c.Manifests = k.manifests()
	c.Gateway = k.Gateway.compile()
	if k.Rollout != nil {
		c.Rollout, c.RolloutContainer = string(*k.Rollout), string(or(k.Container, ""))
	}
	if q := k.Quota; q != nil {
		c.Quota = &deploy.Quota{CPU: string(or(q.CPU, "")), Memory: string(or(q.Memory, "")), Pods: int(or(q.Pods, 0))}
	}
	return c
}

// ownHost refuses previews that would share one host name.
func (r *reader) ownHost(k *kubernetes) {
	if k == nil || k.Gateway == nil || k.Gateway.Host == "" || strings.Contains(string(k.Gateway.Host), deploy.EnvironmentPlace) {
		return
	}
	r.add(r.at(&k.Gateway.Host).mark(), Error{
		Message: fmt.Sprintf("host: previews cannot share %s: each pull request has its own", k.Gateway.Host),
		Hint:    fmt.Sprintf("write one such as %s.%s", deploy.EnvironmentPlace, k.Gateway.Host),
	})
}

// ownObjects refuses previews with manifests of the user's own that would share a
// namespace: the objects have the same names in all of them.
func (r *reader) ownObjects(k *kubernetes) {
	if k == nil || k.Namespace != nil && strings.Contains(string(*k.Namespace), deploy.EnvironmentPlace) {
		return
	}
	for _, p := range r.given(r.at(&k.Manifests), r.at(&k.Kustomization), r.at(&k.Chart)) {
		r.add(p.keyMark(), Error{
			Message: fmt.Sprintf("%s: previews cannot share a namespace: their objects have the same names", p.name),
			Hint:    fmt.Sprintf("write a namespace such as hello-%s", deploy.EnvironmentPlace),
		})
	}
}

// ownQuota refuses a quota for a namespace that others may be in.
func (r *reader) ownQuota(k *kubernetes) {
	if k == nil || k.Quota == nil || k.Namespace != nil && strings.Contains(string(*k.Namespace), deploy.EnvironmentPlace) {
		return
	}
	r.add(r.at(&k.Quota).keyMark(), Error{
		Message: "quota: the namespace is not this environment's alone, so others would be bound, too",
		Hint:    fmt.Sprintf("write a namespace such as hello-%s, or remove it", deploy.EnvironmentPlace),
	})
}

// boundPreviews gives previews in namespaces of their own a quota: nobody looks
// after how much they take.
func boundPreviews(c *deploy.Cluster) {
	if c.Quota == nil && strings.Contains(c.Namespace, deploy.EnvironmentPlace) {
		c.Quota = &deploy.Quota{}
	}
}
