package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/version"
)

// Pull is what the forge knows of a pull request.
type Pull struct {
	Open bool
	// Gone says why it needs no preview any more, where it is not open:
	// "merged", "closed", "its branch was deleted".
	Gone string
}

// Preview brings the commit at hand to the environment of its pull request. The
// request names that environment alone, and the number.
func Preview(r Request) Pipeline {
	p := Pipeline{
		{Name: "work out the version", Run: findPreviewVersion},          // of the pull request and the commit
		{Name: "make room for the preview", Run: makeRoom, Writes: true}, // there may be only so many
		{Name: "collect the secrets", Run: collectSecrets},
		{Name: "look at the environments", Run: inspectTargets},
		imageStep(r),
	}
	if r.DryRun {
		p = append(p, Step{Name: "work out the digest", Run: digestImage})
	}
	p = append(p, Step{Name: "push the image", Run: pushImage, Writes: true})
	return append(p, deployments(r)...)
}

// PullRequest plans what merging would do, and previews it where the file has a
// preview. The plan changes nothing. What a release would be refused for ends it where
// there is nothing else to do: a preview is made all the same, for its login may be
// one that may do no more.
func PullRequest(release Request, preview *Request) func(Request) Pipeline {
	plan := Step{Name: "plan what merging would do", Run: func(ctx context.Context, w *Work) error {
		return w.planFor(ctx, release, preview == nil)
	}}
	return func(Request) Pipeline {
		if preview == nil {
			return Pipeline{plan}
		}
		return append(Pipeline{plan}, Preview(*preview)...)
	}
}

// planFor plans another request within this work. Its steps are not told one by
// one, what it finds about environments is. Strict is that what a release would be
// refused for is an error.
func (w *Work) planFor(ctx context.Context, r Request, strict bool) error {
	r.DryRun = true
	tools := w.Tools
	tools.Reporter = onlyAbout{w.Reporter}
	sub := NewWork(r, tools)
	err := Release(r).walk(ctx, sub)
	w.Plans = append(w.Plans, sub.Plans...)
	if _, would := errors.AsType[*refusals](err); would && !strict {
		err = nil // it was warned of
	}
	return errors.Join(err, sub.Close())
}

// onlyAbout passes on what is told about an environment.
type onlyAbout struct{ deploy.Reporter }

func (o onlyAbout) Report(ctx context.Context, e deploy.Event) error {
	if e.Environment == "" || o.Reporter == nil {
		return nil
	}
	return o.Reporter.Report(ctx, e)
}

// ClosePreview removes the environment of a pull request, and its images.
func ClosePreview(r Request) Pipeline {
	env := r.Environments[0]
	return Pipeline{{Name: "remove " + env.Name, Run: func(ctx context.Context, w *Work) error {
		return w.removePreview(ctx, env, fmt.Sprintf("pull request #%d is over", w.PullRequest))
	}, Writes: true}}
}

// Reap removes the previews that nobody needs any more: those whose pull
// request is over, also where its end was never told, and those that nobody has
// deployed to for longer than their time to live.
func Reap(Request) Pipeline {
	return Pipeline{{Name: "remove previews that are over", Run: reap, Writes: true}}
}

// findPreviewVersion makes a version like 0.0.0-pr.12.g1a2b3c4: below every
// release, and another one for each commit.
func findPreviewVersion(ctx context.Context, w *Work) error {
	source, err := version.Read(ctx, w.Dir)
	if err != nil {
		return deploy.Hinted(fmt.Errorf("read git: %w", err), "a preview is named by its commit: check the repository out first")
	}
	w.Source = source.On(w.Ref)
	w.Version = fmt.Sprintf("%sg%s", previewVersions(w.PullRequest), source.Short)
	w.notice(ctx, "version %s", w.Version)
	return nil
}

// previewVersions is how the versions of a pull request's previews begin.
func previewVersions(number int) string { return fmt.Sprintf("0.0.0-pr.%d.", number) }

// standing is a preview that is there.
type standing struct {
	env    deploy.Environment
	number int
	target deploy.Target
	// last is when it was deployed to.
	last time.Time
	busy bool
}

// previews are those that are there, the one deployed to longest ago first. Those
// of another repository, whose pull requests have the same numbers, are not among
// them.
func (w *Work) previews(ctx context.Context) ([]standing, error) {
	names, err := w.List(ctx, w.App.Name, w.App.Preview.Environment)
	if err != nil {
		return nil, fmt.Errorf("list the previews: %w", err)
	}
	var all []standing
	for _, name := range names {
		number, ok := deploy.PullRequestOf(name)
		if !ok {
			continue
		}
		s := standing{env: w.App.Preview.For(number), number: number}
		if s.target, err = w.Target(ctx, w.App.Name, s.env); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		state, err := s.target.State(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if err := w.Engine.Own(state, w.Owner); err != nil {
			w.log().Debug("a preview is left alone", "environment", name, "because", err)
			continue
		}
		s.last, s.busy = state.Record.At, state.Lock != nil
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b standing) int { return a.last.Compare(b.last) })
	return all, nil
}

// makeRoom removes the previews that were deployed to longest ago, until one
// more is within the limit. One at which a run is at work stays.
func makeRoom(ctx context.Context, w *Work) error {
	all, err := w.previews(ctx)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(all, func(s standing) bool { return s.number == w.PullRequest })
	excess := len(others) + 1 - w.App.Preview.Limit
	for _, s := range others {
		if excess <= 0 {
			return nil
		}
		if s.busy {
			continue
		}
		why := fmt.Sprintf("there may be %d previews, and it was deployed to longest ago", w.App.Preview.Limit)
		if err := w.removePreview(ctx, s.env, why); err != nil {
			return err
		}
		excess--
	}
	if excess > 0 {
		return deploy.Hinted(fmt.Errorf("there are %d previews already, and a run is at work in each", w.App.Preview.Limit),
			"run this again later, or raise limit of the environment preview")
	}
	return nil
}

func reap(ctx context.Context, w *Work) error {
	all, err := w.previews(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range all {
		why := w.over(ctx, s)
		if why == "" || s.busy {
			continue
		}
		errs = append(errs, w.removePreview(ctx, s.env, why))
	}
	return errors.Join(errs...)
}

// over says why a preview is not needed any more; empty where it is. What the
// forge does not tell does not count: the time to live goes on anyway.
func (w *Work) over(ctx context.Context, s standing) string {
	if idle := time.Since(s.last); idle > w.App.Preview.TTL {
		return fmt.Sprintf("nobody has deployed to it for %s", idle.Round(time.Minute))
	}
	if w.Pull == nil {
		return ""
	}
	pull, err := w.Pull(ctx, s.number)
	if err != nil {
		w.warn(ctx, s.env.Name, fmt.Sprintf("whether pull request #%d is open is not known", s.number), err)
		return ""
	}
	if pull.Open {
		return ""
	}
	return fmt.Sprintf("pull request #%d: %s", s.number, pull.Gone)
}

// removePreview removes an environment and the images that only it had.
func (w *Work) removePreview(ctx context.Context, env deploy.Environment, why string) error {
	target, err := w.Target(ctx, w.App.Name, env)
	if err != nil {
		return fmt.Errorf("%s: %w", env.Name, err)
	}
	remover, ok := target.(deploy.Remover)
	if !ok {
		return deploy.Hinted(fmt.Errorf("%s cannot be removed by slipway", target), "remove it by hand")
	}
	err = w.alone(ctx, target, remover)
	if foreign(err) {
		w.warn(ctx, env.Name, "it is left as it is", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", env.Name, err)
	}
	w.tell(ctx, deploy.Event{Kind: deploy.Removed, Environment: env.Name, Message: why})
	w.removeImages(ctx, env.Name)
	return nil
}

// alone removes an environment while no other run is at work in it, unless another
// repository has released what is there. The hold of one that is not there would make
// it, and its namespace: then what may be left of it is removed as it is.
func (w *Work) alone(ctx context.Context, target deploy.Target, remover deploy.Remover) error {
	state, err := target.State(ctx)
	if err == nil && w.Owner.Origin.Known() {
		err = w.Engine.Own(state, w.Owner)
	}
	if err != nil {
		return err
	}
	if l, ok := target.(deploy.Locker); ok && !vacant(state) {
		if err := l.Lock(ctx, w.Owner, removeLimit); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, removeLimit)
	defer cancel()
	return remover.Remove(ctx)
}

// vacant reports whether nothing was ever brought to an environment, and nobody is
// about to.
func vacant(s deploy.State) bool {
	return s.Lock == nil && s.Record.Phase == deploy.PhaseNone && len(s.History)+len(s.Running) == 0
}

// removeLimit bounds the removal of an environment.
const removeLimit = 2 * time.Minute

// removeImages removes the images of a pull request. A registry that does not
// let it keeps them: that is told, and harms nobody.
func (w *Work) removeImages(ctx context.Context, environment string) {
	number, _ := deploy.PullRequestOf(environment)
	repository, err := w.repository(ctx)
	if err == nil {
		_, err = w.Images.Remove(ctx, repository, previewVersions(number))
	}
	if err != nil {
		w.warn(ctx, environment, fmt.Sprintf("the images of pull request #%d stay in the registry", number), err)
	}
}
