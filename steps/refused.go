package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// refusal is why a release would not come to an environment, or why that could not be
// found out, as a dry run has met it.
type refusal struct {
	environment string
	err         error
}

// refuse warns of a refusal, and keeps it for the end of the run.
func (w *Work) refuse(ctx context.Context, environment, what string, err error) {
	w.warn(ctx, environment, what, err)
	w.refused = append(w.refused, refusal{environment, err})
}

// refuses reports whether a release to the environment is known to be refused.
func (w *Work) refuses(environment string) bool {
	return slices.ContainsFunc(w.refused, func(r refusal) bool { return r.environment == environment })
}

// refusals are an error once all environments were planned for.
func (w *Work) refusals(env deploy.Environment) error {
	if len(w.refused) == 0 || env.Name != w.Environments[len(w.Environments)-1].Name {
		return nil
	}
	return &refusals{w.refused}
}

// refusals end a dry run as the release would end: by the exit code and the hint of
// the first. Each was told as a warning before.
type refusals struct{ all []refusal }

// Error is each with its environment.
func (r *refusals) Error() string {
	text := make([]string, len(r.all))
	for i, one := range r.Unwrap() {
		text[i] = one.Error()
	}
	return strings.Join(text, "; ")
}

// Unwrap gives each with its environment.
func (r *refusals) Unwrap() []error {
	errs := make([]error, len(r.all))
	for i, one := range r.all {
		errs[i] = fmt.Errorf("%s: %w", one.environment, one.err)
	}
	return errs
}

// short says where, for reports that have told each of them already.
func (r *refusals) short() string {
	var refused, unknown []string
	for _, one := range r.all {
		if unanswered(one.err) {
			unknown = append(unknown, one.environment)
			continue
		}
		refused = append(refused, one.environment)
	}
	var text []string
	if len(refused) > 0 {
		text = append(text, "a release to "+listed(refused)+" would be refused")
	}
	if len(unknown) > 0 {
		text = append(text, "what a release to "+listed(unknown)+" would do is not known in full")
	}
	return strings.Join(text, ", and ") + ": the warnings say why"
}

// listed are names, each once: an environment may be refused for several reasons,
// which are found in steps over all environments.
func listed(names []string) string {
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return strings.Join(once, ", ")
}
