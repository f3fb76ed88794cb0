package config

import (
	"fmt"
	"reflect"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// refusals are the keys that an environment of that name may not have.
func refusals(name string) map[string]refusal {
	if name == deploy.PreviewName {
		return map[string]refusal{
			"after": {"each pull request has a preview of its own, which comes after nothing", "remove it"},
			"image": {"a preview pulls from the repository that its image is pushed to", "remove it"},
		}
	}
	only := refusal{
		fmt.Sprintf("only the environment %s has it", deploy.PreviewName),
		fmt.Sprintf("move it below %s, or remove it", deploy.PreviewName),
	}
	return map[string]refusal{"ttl": only, "limit": only}
}

func (v *environment) read(r *reader, p place) bool {
	return r.fieldsBut(reflect.ValueOf(v).Elem(), p, refusals(p.name))
}

// preview is the pattern of previews made of the environment of that name.
func (r *reader) preview(e *named, pattern deploy.Environment) *deploy.Preview {
	if e.Target.port != nil {
		r.add(r.at(e.Target.port).keyMark(), Error{
			Message: "port: previews cannot share one: each pull request has its own",
			Hint:    "remove it: each preview is given a port, and keeps it",
		})
	}
	r.ownHost(e.Target.cluster)
	r.ownObjects(e.Target.cluster)
	if k := e.Target.cluster; k != nil && k.Rollout != nil {
		r.add(r.at(&k.Rollout).keyMark(), Error{
			Message: "rollout: previews cannot share one that is there already",
			Hint:    "remove it: a preview runs what slipway.yaml says",
		})
	}
	r.unbaked(e, pattern)
	boundPreviews(&pattern.Target.Cluster)
	return &deploy.Preview{
		Environment: pattern,
		TTL:         time.Duration(or(e.TTL, lifetime(deploy.DefaultPreviewTTL))),
		Limit:       int(or(e.Limit, deploy.DefaultPreviewLimit)),
	}
}

// defaultStrategy is used where an environment names none. A preview keeps no
// old side after the switch: nobody watches it.
func defaultStrategy(environment string) deploy.Strategy {
	if environment == deploy.PreviewName {
		s := deploy.DefaultStrategy()
		s.Keep = 0
		return s
	}
	return deploy.DefaultStrategy()
}
