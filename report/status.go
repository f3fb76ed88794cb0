package report

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
)

const statusesPermission = "statuses: write"

// StatusOptions shape the statuses of the commit.
type StatusOptions struct{ Scrub Scrub }

// Status keeps a status on the run's commit for each environment that the run
// is to come to, in the context slipway/APP/ENVIRONMENT: pending, then success,
// failure (also for a version that was taken back), or error where the state is
// unknown or the run did not come to the environment. It asks GitHub at most
// twice for an environment.
type Status struct {
	github *forge.Client
	o      StatusOptions
	// These belong to the goroutine that reports.
	timeline Timeline
	// posted is the last state of each environment with its outcome.
	posted map[string]string
	// refused: GitHub does not take one, and would not take the next.
	refused bool
}

var _ Slow = (*Status)(nil)

// NewStatus makes a Status reporter.
func NewStatus(g *forge.Client, o StatusOptions) *Status {
	return &Status{github: g, o: o, posted: map[string]string{}}
}

// String names it.
func (s *Status) String() string { return "the status of the commit" }

// Slow marks it.
func (s *Status) Slow() {}

// Report brings GitHub up to date with an event.
func (s *Status) Report(ctx context.Context, e deploy.Event) error {
	s.timeline.Add(e)
	switch e.Kind {
	case deploy.Queued, deploy.RolloutStarted, deploy.RolloutEnded, deploy.SteppedAside:
		return s.sync(ctx, e.Environment)
	}
	return nil
}

// Flush ends what the run did not come to, and tries once more what GitHub does
// not know yet.
func (s *Status) Flush(ctx context.Context) error {
	var errs []error
	for _, env := range s.timeline.Story(nil).Environments {
		errs = append(errs, s.sync(ctx, env.Name))
	}
	return errors.Join(errs...)
}

// sync makes GitHub know what is known of an environment.
func (s *Status) sync(ctx context.Context, name string) error {
	if s.refused {
		return nil
	}
	story := s.timeline.Story(s.o.Scrub)
	env := story.Environment(s.o.Scrub.apply(name))
	if env == nil || !env.concerned() || env.Removed != "" {
		return nil
	}
	state := commitState(&story, env)
	now := state + ": " + string(env.Outcome)
	if s.posted[env.Name] == now {
		return nil
	}
	err := s.post(ctx, &story, env, state)
	if err == nil {
		s.posted[env.Name] = now
	}
	// What it takes for one environment it takes for all: they share the commit.
	_, s.refused = errors.AsType[*forge.Denied](err)
	return err
}

// commitState is that of an environment as GitHub names it for commits. What
// was left to a newer run went well: that one has the commit, too.
func commitState(s *Story, env *Environment) string {
	switch env.Outcome {
	case deploy.Promoted, deploy.Unchanged:
		return success
	case deploy.Failed, deploy.Reverted:
		return "failure"
	case deploy.Unknown:
		return "error"
	}
	switch {
	case env.Aside != "", env.waits() && good(s.Outcome):
		return success
	case env.waits() && s.Outcome != "":
		return "error"
	}
	return "pending" // waits, is under way, or is held until a person decides
}

func (s *Status) post(ctx context.Context, story *Story, env *Environment, state string) error {
	doing := fmt.Sprintf("set the status of the commit for %s to %s", env.Name, state)
	if story.Run.Commit == "" {
		return fmt.Errorf("%s: no commit is known", doing)
	}
	status := &github.RepoStatus{
		State:       github.String(state),
		Context:     github.String(oneLine("slipway/"+story.Run.App+"/"+env.Name, 200)),
		Description: github.String(oneLine(description(story, env), 140)),
	}
	if u := webAddress(story.Run.URL); u != "" {
		status.TargetURL = github.String(u)
	}
	return s.github.Do(ctx, doing, statusesPermission, func(ctx context.Context) error {
		_, _, err := s.github.API.Repositories.CreateStatus(ctx, s.github.Owner, s.github.Name, story.Run.Commit, status)
		return err
	})
}
