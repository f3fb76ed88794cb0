package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// Drift says how environments differ from what the last release has left there,
// and puts that back on request. All of them are looked at, also after one that
// could not be.
func Drift(_ Request, repair bool) Pipeline {
	name := "compare with the last release"
	if repair {
		name = "put back what the last release has left"
	}
	return Pipeline{
		{Name: "look at the environments", Run: func(ctx context.Context, w *Work) error { return w.openDrifters(ctx) }},
		{Name: name, Run: func(ctx context.Context, w *Work) error { return w.drift(ctx, repair) }},
	}
}

// Drifted is what was found in one environment.
type Drifted struct {
	Environment string
	deploy.Drift
	// Err is why it could not be looked at, or not be repaired.
	Err error
}

// openDrifters opens the environments that can be looked at. One that cannot is
// passed over while another can, and while nobody has named it.
func (w *Work) openDrifters(ctx context.Context) error {
	var unable []string
	for _, env := range w.Environments {
		target, err := w.Target(ctx, w.App.Name, env)
		if err != nil {
			return fmt.Errorf("%s: %w", env.Name, err)
		}
		if _, is := target.(deploy.Drifter); !is {
			unable = append(unable, env.Name)
			continue
		}
		w.Targets[env.Name] = target
	}
	if len(unable) == 0 {
		return nil
	}
	names := strings.Join(unable, ", ")
	if len(w.Targets) == 0 || w.Named {
		return deploy.Usage("leave it out; drift is told of environments with target: kubernetes",
			"%s cannot drift: nobody but slipway changes what is in a sandbox, and it keeps to that by itself", names)
	}
	w.notice(ctx, "%s cannot drift: nobody but slipway changes what is in a sandbox", names)
	return nil
}

func (w *Work) drift(ctx context.Context, repair bool) error {
	for _, env := range w.Environments {
		target, open := w.Targets[env.Name]
		if !open {
			continue
		}
		d := w.driftOf(ctx, env.Name, target, repair)
		w.Drifts = append(w.Drifts, d)
		if d.Err != nil {
			w.warn(ctx, env.Name, "could not be compared", d.Err)
			if len(d.Found) == 0 {
				continue
			}
		}
		drift := d.Drift
		w.tell(ctx, deploy.Event{Kind: deploy.Drifted, Environment: env.Name, Drift: &drift, Message: d.say()})
	}
	return w.drifted(repair)
}

func (w *Work) driftOf(ctx context.Context, name string, target deploy.Target, repair bool) Drifted {
	d := Drifted{Environment: name}
	if !repair || w.DryRun {
		d.Found, d.Err = w.Engine.Drift(ctx, target)
		return d
	}
	d.Found, d.Err = w.Engine.Repair(ctx, target, w.Owner, func(name string) string {
		value, _ := w.Secret(name)
		return value
	})
	d.Repaired = d.Err == nil && len(d.Found) > 0
	return d
}

// say is what was found in one line.
func (d Drifted) say() string {
	switch n := len(d.Found); {
	case n == 0:
		return "it is as it was released"
	case d.Repaired:
		return differ(n) + " put back"
	default:
		return differ(n) + " from what was released"
	}
}

func differ(n int) string {
	if n == 1 {
		return "1 difference"
	}
	return fmt.Sprintf("%d differences", n)
}

// drifted is the end of the whole: what could not be looked at comes before what
// a person must decide.
func (w *Work) drifted(repair bool) error {
	var errs []error
	var where []string
	outcome, found := deploy.Failed, 0
	for _, d := range w.Drifts {
		if d.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.Environment, d.Err))
			if _, locked := errors.AsType[*deploy.Locked](d.Err); !locked && !deploy.IsUsage(d.Err) {
				outcome = deploy.Unknown
			}
		}
		if n := len(d.Found); n > 0 {
			found += n
			where = append(where, d.Environment)
		}
	}
	names := strings.Join(where, ", ")
	switch {
	case len(errs) > 0:
		err := errors.Join(errs...)
		return &unlike{outcome: outcome, err: err}
	case found == 0:
		return nil
	case repair && !w.DryRun:
		return nil
	}
	return &unlike{outcome: deploy.Held, err: deploy.Hinted(fmt.Errorf("%s from what was released in %s", differ(found), names),
		"put it back with: slipway drift --repair; or release what it should be")}
}

// repaired reports whether anything was put back.
func (w *Work) repaired() bool {
	return slices.ContainsFunc(w.Drifts, func(d Drifted) bool { return d.Repaired })
}

// compared are the environments that were looked at.
func (w *Work) compared() string {
	var names []string
	for _, d := range w.Drifts {
		names = append(names, d.Environment)
	}
	return strings.Join(names, ", ")
}

// unlike is the end of a run that has found, or could not find out, how
// environments differ.
type unlike struct {
	outcome deploy.Outcome
	err     error
}

// Error is that of the cause.
func (u *unlike) Error() string { return u.err.Error() }

// Unwrap gives the cause.
func (u *unlike) Unwrap() error { return u.err }
