package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// manifests are what the user deploys with; nil where Slipway makes everything.
func (k *kubernetes) manifests() *deploy.Manifests {
	if k.Manifests == nil && k.Kustomization == nil && k.Chart == nil {
		return nil
	}
	m := &deploy.Manifests{
		Files: string(or(k.Manifests, "")), Kustomization: string(or(k.Kustomization, "")), Chart: string(or(k.Chart, "")),
		Release:  string(or(k.Release, "")),
		Workload: string(or(k.Workload, "")), Container: string(or(k.Container, "")),
		Service: string(or(k.Service, "")), Route: string(or(k.Route, "")),
		Force: bool(or(k.Force, false)), NoHooks: !bool(or(k.Hooks, true)), HookTimeout: time.Duration(or(k.HookTimeout, 0)),
	}
	for _, file := range k.Values {
		m.Values = append(m.Values, string(file))
	}
	for _, value := range k.Set {
		m.Set = append(m.Set, string(value))
	}
	return m
}

// manifested holds an environment to one source of manifests, and refuses beside
// it what the manifests say themselves.
func (r *reader) manifested(e *named) {
	k := e.Target.cluster
	if k == nil {
		return
	}
	sources := r.given(r.at(&k.Manifests), r.at(&k.Kustomization), r.at(&k.Chart))
	switch {
	case r.at(&k.Rollout).value != nil:
		r.driven(e, sources)
	case len(sources) == 0:
		r.pointless(r.given(r.at(&k.Workload), r.at(&k.Container), r.at(&k.Service), r.at(&k.Route), r.at(&k.Force)),
			"names a part of manifests, and there are none", "add manifests, kustomization or chart, or remove it")
	case len(sources) > 1:
		r.add(sources[1].keyMark(), Error{
			Message: fmt.Sprintf("%s: %s is given, too, in line %d", sources[1].name, sources[0].name, sources[0].keyMark().line),
			Hint:    "keep one of them",
		})
	}
	if r.at(&k.Chart).value == nil {
		r.pointless(r.given(r.at(&k.Release), r.at(&k.Values), r.at(&k.Set), r.at(&k.Hooks), r.at(&k.HookTimeout)), "is for a chart, and none is named", "name a chart, or remove it")
	}
	if len(sources) == 0 || r.at(&k.Rollout).value != nil {
		return
	}
	r.pointless(r.given(r.at(&k.CPU), r.at(&k.Memory), r.at(&k.User), r.at(&k.Autoscale), r.at(&e.Service.Port), r.at(&e.Service.Health)),
		"the manifests say this themselves", "write it into the manifests, and remove it here")
}

// driven refuses beside a Rollout what its own manifest says.
func (r *reader) driven(e *named, sources []place) {
	k := e.Target.cluster
	r.pointless(append(sources, r.given(r.at(&k.Workload), r.at(&k.Service), r.at(&k.Route), r.at(&k.Force))...),
		"a rollout is named, which is there already", "apply the Rollout and what belongs to it with what applies it now, and remove this key; or remove rollout")
	r.pointless(r.given(r.at(&k.Gateway), r.at(&k.PreStop), r.at(&k.CPU), r.at(&k.Memory), r.at(&k.User), r.at(&k.Isolated),
		r.at(&e.Replicas), r.at(&e.Service.Replicas), r.at(&e.Env), r.at(&e.Service.Env), r.at(&e.Secrets), r.at(&e.Service.Secrets)),
		"the Rollout says this itself", "write it into the manifest of the Rollout, and remove it here")
}

// given are those of the places that are written.
func (*reader) given(places ...place) []place {
	var all []place
	for _, p := range places {
		if p.value != nil {
			all = append(all, p)
		}
	}
	return all
}

// pointless refuses keys that would have no effect.
func (r *reader) pointless(places []place, why, hint string) {
	for _, p := range places {
		r.add(p.keyMark(), Error{Message: strings.TrimSpace(p.name + ": " + why), Hint: hint})
	}
}
