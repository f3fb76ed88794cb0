package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/steps"
)

// openForge connects to GitHub where this run has a repository there and a
// token for it. Nothing is asked yet; a name that cannot be is refused.
func (s *session) openForge() (err error) {
	token := s.token()
	if token == "" || s.run.Repository == "" {
		return nil
	}
	s.forge, err = forge.New(forge.Options{APIURL: s.runner.APIURL(), Repository: s.run.Repository, Token: token})
	return err
}

// token is what the action was given, or what a step on a runner has in its
// environment. Off a runner nothing is reported to GitHub.
func (s *session) token() string {
	if !s.runner.Present() {
		return ""
	}
	if s.options.token != "" {
		return s.options.token
	}
	return s.Getenv("GITHUB_TOKEN")
}

// pull asks whether a pull request needs its preview.
func (s *session) pull(ctx context.Context, number int) (steps.Pull, error) {
	p, err := s.forge.Pull(ctx, number)
	if err != nil {
		return steps.Pull{}, err
	}
	over := p.Over()
	return steps.Pull{Open: over == "", Gone: over}, nil
}

// permit asks whether this run may deploy to an environment. Those of pull
// requests are made by us, and nobody has put rules on them.
func (s *session) permit(ctx context.Context, environment string) (steps.Permit, error) {
	if _, ours := deploy.PullRequestOf(environment); ours {
		return steps.Permit{}, nil
	}
	id, _ := s.workflowRun()
	p, err := s.forge.Permit(ctx, environment, forge.Job{RunID: id, Ref: s.run.Ref})
	return steps.Permit(p), err
}

// unasked is a release that a push began, or the publication of a release, and
// nobody has asked for by hand, as by running it again.
func (s *session) unasked() bool {
	event := s.Getenv("GITHUB_EVENT_NAME")
	_, attempt := s.workflowRun()
	return s.run.Operation == action.Release && attempt == 1 && (event == "push" || event == "release")
}

// newer says which newer run has brought its version to an environment already.
func (s *session) newer(ctx context.Context, environment string) (string, error) {
	return s.deployments.Newer(ctx, s.run, environment)
}

// jobLog is the address of this job's log; empty where it cannot be found.
func (s *session) jobLog(ctx context.Context) string {
	id, attempt := s.workflowRun()
	runner := s.Getenv("RUNNER_NAME")
	if id == 0 || runner == "" {
		return ""
	}
	url, err := s.forge.JobURL(ctx, id, attempt, runner)
	if err != nil {
		s.log.Debug("find the log of this job", "error", err)
	}
	return url
}

// workflowRun is the number of the workflow run and of its attempt; zero where
// there is none.
func (s *session) workflowRun() (id, attempt int64) {
	before, after, _ := strings.Cut(s.run.ID, "-")
	id, err := strconv.ParseInt(before, 10, 64)
	if err != nil {
		return 0, 0
	}
	attempt, _ = strconv.ParseInt(after, 10, 64)
	return id, attempt
}
