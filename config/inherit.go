package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// environment makes one environment of the app's common parts and its own.
func (r *reader) environment(d *document, e *named, checks []deploy.Check) deploy.Environment {
	out := deploy.Environment{
		Name:       e.name,
		Target:     deploy.TargetSpec{Kind: e.Target.kind, Port: int(or(e.Target.port, 0)), Cluster: e.Target.cluster.compile()},
		After:      string(or(e.After, "")),
		Repository: string(or(e.Image, "")),
		Service:    r.service(&d.Service, e),
		Checks:     slices.Clone(checks),
		Strategy:   r.judging(d.Judge, e, r.strategy(e)),
	}
	if m := out.Target.Cluster.Manifests; m != nil {
		m.Replicas = int(or(firstGiven(e.Replicas, e.Service.Replicas, d.Service.Replicas), 0))
	}
	out.Tasks = r.tasks(&d.Tasks, e, out.Service.Secrets)
	r.autoscaled(e, &out)
	r.copies(d, e)
	r.manifested(e)
	r.ownQuota(e.Target.cluster)
	if e.Checks != nil {
		out.Checks = r.checks(*e.Checks)
	}
	return out
}

// copies refuses an environment's own repository where the app has none to copy
// from.
func (r *reader) copies(d *document, e *named) {
	if e.Image == nil || r.at(&d.Image).value != nil {
		return
	}
	r.add(r.at(&e.Image).keyMark(), Error{
		Message: "image: the app has no image of its own, from which it would be copied",
		Hint:    "add " + examples["image"] + " at the top, or remove it here",
	})
}

// service merges the app's service with what the environment says otherwise.
func (r *reader) service(base *service, e *named) deploy.Service {
	r.saidTwice(e)
	own := &e.Service
	env, secrets := r.variables(base, e)
	return deploy.Service{
		Port:         int(or(firstGiven(own.Port, base.Port), deploy.DefaultPort)),
		Health:       string(or(firstGiven(own.Health, base.Health), "")),
		Replicas:     int(or(firstGiven(e.Replicas, own.Replicas, base.Replicas), deploy.DefaultReplicas)),
		Env:          env,
		Secrets:      secrets,
		StartTimeout: time.Duration(or(firstGiven(own.StartTimeout, base.StartTimeout), limit(deploy.DefaultStartTimeout))),
		Drain:        time.Duration(or(firstGiven(own.Drain, base.Drain), pause(deploy.DefaultDrain))),
	}
}

// saidTwice refuses a short form beside its long form.
func (r *reader) saidTwice(e *named) {
	for _, pair := range []struct {
		name        string
		short, long place
	}{
		{"env", r.at(&e.Env), r.at(&e.Service.Env)},
		{"secrets", r.at(&e.Secrets), r.at(&e.Service.Secrets)},
		{"replicas", r.at(&e.Replicas), r.at(&e.Service.Replicas)},
	} {
		if pair.short.value == nil || pair.long.value == nil {
			continue
		}
		r.add(pair.short.keyMark(), Error{
			Message: fmt.Sprintf("%s: the service of %s says it too, in line %d",
				pair.name, e.name, pair.long.keyMark().line),
			Hint: "keep one of them",
		})
	}
}

// variables is the environment's variables and secrets: its own go over the
// app's, and no name may be both.
func (r *reader) variables(base *service, e *named) (map[string]string, []string) {
	env := map[string]string{}
	places := map[string]place{}
	for _, list := range []variables{base.Env, e.Service.Env, e.Env} {
		for _, v := range list {
			env[v.name], places[v.name] = v.value, v.place
		}
	}
	secrets := r.secrets(places, base.Secrets, e.Service.Secrets, e.Secrets)
	if len(env) == 0 {
		env = nil
	}
	return env, secrets
}

// secrets joins lists of names, each name once. Twice in one list, or among the
// plain variables, is a mistake.
func (r *reader) secrets(plain map[string]place, lists ...[]variable) []string {
	var all []string
	for _, list := range lists {
		seen := map[variable]bool{}
		for i := range list {
			name, at := list[i], r.at(&list[i])
			if name == "" {
				continue
			}
			if seen[name] {
				r.add(at.mark(), Error{
					Message: fmt.Sprintf("secrets: %s is there twice", name),
					Hint:    "keep one of them",
				})
			}
			seen[name] = true
			if variable, both := plain[string(name)]; both {
				r.exposed(variable, at, string(name))
			}
			if !slices.Contains(all, string(name)) {
				all = append(all, string(name))
			}
		}
	}
	return all
}

// exposed reports a name that is a variable and a secret, at the later one.
func (r *reader) exposed(plain, secret place, name string) {
	at, other := plain.keyMark(), secret.mark()
	if other.line > at.line || other.line == at.line && other.column > at.column {
		at, other = other, at
	}
	r.add(at, Error{
		Message: fmt.Sprintf("%s is both a secret and a variable in env, see line %d", name, other.line),
		Hint:    "remove it from env: the value of a secret comes from the environment that slipway runs in",
	})
}
