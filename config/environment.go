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
		Name:     e.name,
		Target:   deploy.TargetSpec{Kind: e.Target.kind, Port: int(e.Target.port)},
		After:    string(or(e.After, "")),
		Service:  r.service(&d.Service, e),
		Checks:   checks,
		Strategy: r.strategy(e),
	}
	if e.Checks != nil {
		out.Checks = r.checks(*e.Checks)
	} else {
		out.Checks = slices.Clone(checks)
	}
	return out
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
	var secrets []string
	for _, list := range [][]variable{base.Secrets, e.Service.Secrets, e.Secrets} {
		lines := map[variable]bool{}
		for i := range list {
			name := list[i]
			if name == "" {
				continue
			}
			if lines[name] {
				r.add(r.at(&list[i]).mark(), Error{
					Message: fmt.Sprintf("secrets: %s is there twice", name),
					Hint:    "keep one of them",
				})
			}
			lines[name] = true
			if plain, both := places[string(name)]; both {
				r.exposed(plain, r.at(&list[i]), string(name))
			}
			if !slices.Contains(secrets, string(name)) {
				secrets = append(secrets, string(name))
			}
		}
	}
	if len(env) == 0 {
		env = nil
	}
	return env, secrets
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

// strategy is the environment's, if its target can do it.
func (r *reader) strategy(e *named) deploy.Strategy {
	s, at := deploy.DefaultStrategy(), r.at(&e.Target).mark()
	if e.Strategy != nil {
		s, at = e.Strategy.compile(), e.Strategy.mark
	}
	kind, known := r.rules.Targets[e.Target.kind]
	if !known || s.Kind == "" || slices.Contains(kind.Strategies, s.Kind) {
		return s
	}
	can := kindNames(kind.Strategies)
	if e.Strategy == nil {
		r.add(at, Error{
			Message: fmt.Sprintf("target: %s cannot do %s, the strategy where none is named", e.Target.kind, s.Kind),
			Valid:   can,
			Hint:    fmt.Sprintf("add a strategy to %s", e.name),
		})
		return s
	}
	r.add(at, Error{
		Message: fmt.Sprintf("strategy: %s cannot do %s", e.Target.kind, s.Kind),
		Valid:   can,
		Hint:    "choose a strategy that the target can do",
	})
	return s
}

// compile fills in the defaults of what is not written. What is written as
// zero stays zero: errors: 0% lets nothing pass.
func (v *strategy) compile() deploy.Strategy {
	s := deploy.Strategy{Kind: v.kind}.WithDefaults()
	switch set := v.set; {
	case set.Recreate != nil:
		put(&s.Hold, set.Recreate.Hold)
		put(&s.Errors, set.Recreate.Errors)
	case set.Rolling != nil:
		put(&s.Batch, set.Rolling.Batch)
		put(&s.Hold, set.Rolling.Hold)
		put(&s.Errors, set.Rolling.Errors)
	case set.BlueGreen != nil:
		put(&s.Keep, set.BlueGreen.Keep)
		put(&s.Errors, set.BlueGreen.Errors)
	case set.Canary != nil:
		s.Steps = set.Canary.Steps.shares(s.Steps)
		put(&s.Hold, set.Canary.Hold)
		put(&s.Errors, set.Canary.Errors)
	}
	return s
}

// put sets what is written.
func put[D, S ~int | ~int64 | ~float64](to *D, from *S) {
	if from != nil {
		*to = D(*from)
	}
}

// shares are the steps, or the default where none are written.
func (v steps) shares(def []deploy.Percent) []deploy.Percent {
	if len(v) == 0 {
		return def
	}
	out := make([]deploy.Percent, len(v))
	for i, s := range v {
		out[i] = deploy.Percent(s)
	}
	return out
}
