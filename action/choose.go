package action

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-ci/slipway/deploy"
)

// The commands that the action runs.
const (
	Auto     = "auto"
	Release  = "release"
	Build    = "build"
	Plan     = "plan"
	Preview  = "preview"
	Reap     = "reap"
	Promote  = "promote"
	Rollback = "rollback"
	Pause    = "pause"
	Resume   = "resume"
	Abort    = "abort"
	Settle   = "settle"
	Drift    = "drift"
	Status   = "status"
	History  = "history"
	Images   = "images"
	Prune    = "prune"
	Validate = "validate"
)

// Commands are the valid values of the input command.
func Commands() []string {
	return []string{Auto, Release, Build, Plan, Preview, Reap, Promote, Rollback, Pause, Resume, Abort, Settle, Drift, Status, History, Images, Prune, Validate}
}

// Operations are the valid values of the input operation, and of the input of
// that name in a workflow that is started by hand.
func Operations() []string {
	return []string{Release, Promote, Rollback, Pause, Resume, Abort, Preview}
}

// Command is what is to be run, chosen from the event and the inputs.
type Command struct {
	// Name is one of Commands, never auto; empty when Skip is set.
	Name string
	// Version is a semver without a leading v; empty lets git decide. Promote
	// and rollback also take what names one: ~1.4, latest, previous. For a
	// rollback it is the version to go back to; empty is the one before.
	Version     string
	Environment string
	Strategy    deploy.Kind
	Reason      string
	DryRun      bool
	SkipOrder   bool
	// PullRequest is the number that a preview is of.
	PullRequest int
	// Close: the pull request is over, and its preview goes.
	Close bool
	// Note is a sentence that the run prints first; empty is none.
	Note string
	// Skip says why there is nothing to do, in one sentence. It is not an
	// error: the run prints it as a notice and ends well, so that a workflow
	// with a plain `on: push` does not turn every branch red.
	Skip string
}

// Choose finds the command. The input command decides; auto goes by the event:
//
//   - push to the default branch, push of a tag such as v1.4.2, release
//     published: release
//   - pull_request opened, reopened, ready_for_review or synchronize: preview,
//     with a plan; closed: the preview goes. From a fork, whose code must not
//     meet secrets: a plan alone
//   - workflow_dispatch: what the input operation of the action, or else of
//     the dispatch, says, with its other inputs from the same places
//   - schedule: reap
//   - pushes of other branches and tags, and of deletions; releases that are
//     not published or that are named by no version; other activities of pull
//     requests: a skip
//   - every other event, and pull_request_target but for closed: a
//     deploy.Usage that says what can be done instead
func Choose(e Event, in Inputs) (Command, error) {
	c := in.command(in.Command)
	if c.PullRequest == 0 {
		c.PullRequest = e.PullRequest.Number
	}
	if in.Command == Auto || in.Command == "" {
		var err error
		if c, err = byEvent(e, in); err != nil {
			return Command{}, err
		}
	}
	return c, c.complete()
}

// command is what the inputs say, for a command of the name.
func (in Inputs) command(name string) Command {
	return Command{
		Name: name, Version: in.Version, Environment: in.Environment, Strategy: in.Strategy, Reason: in.Reason,
		DryRun: in.DryRun, SkipOrder: in.SkipOrder, PullRequest: in.PullRequest,
	}
}

// complete refuses a command that lacks what it cannot guess.
func (c Command) complete() error {
	switch {
	case c.Name == Promote && (c.Version == "" || c.Environment == ""):
		return deploy.Usage("set both inputs: version (such as 1.4.2) and environment (such as production)",
			"promote needs a version and an environment")
	case c.Environment == "" && slices.Contains([]string{Rollback, Pause, Resume, Abort}, c.Name):
		return deploy.Usage("set the input environment (such as production)", "%s needs an environment", c.Name)
	case c.Name == Preview && c.PullRequest == 0:
		return deploy.Usage("set the input pull-request (such as 12)", "preview needs the number of a pull request")
	}
	return nil
}

func byEvent(e Event, in Inputs) (Command, error) {
	switch e.Name {
	case "push":
		return onPush(e, in.command(Release)), nil
	case "release":
		return onRelease(e, in.command(Release)), nil
	case "pull_request":
		return onPullRequest(e, in), nil
	case "pull_request_target":
		return onTarget(e, in)
	case "workflow_dispatch":
		return onDispatch(e, in)
	case "schedule":
		return in.command(Reap), nil
	case "":
		return Command{}, deploy.Usage("name a command, such as `slipway release`; auto is for a GitHub runner, which sets GITHUB_EVENT_NAME",
			"there is no event to choose a command by")
	}
	return Command{}, deploy.Usage("run Slipway on push, pull_request, release, schedule or workflow_dispatch, or set the input command (such as validate)",
		"auto does not know what to do on the event %s", e.Name)
}

// onPullRequest previews what is from the repository itself. What is from a
// fork has a token that may only read, and no secrets; its code is planned for
// and not run.
func onPullRequest(e Event, in Inputs) Command {
	c := in.command(Preview)
	c.PullRequest = e.PullRequest.Number
	switch e.Action {
	case "opened", "reopened", "synchronize", "ready_for_review":
	case "closed":
		c.Close = true
	default:
		return skip("pull request #%d: %s, and so there is nothing to do", c.PullRequest, orElse(strings.ReplaceAll(e.Action, "_", " "), "changed"))
	}
	if !e.PullRequest.Fork {
		return c
	}
	if c.Close {
		return skip("pull request #%d is from a fork: it had no preview", c.PullRequest)
	}
	c.Name, c.DryRun = Plan, true
	c.Note = fmt.Sprintf("pull request #%d is from a fork: its code gets neither secrets nor a token that may write, so it is planned for and not previewed. "+
		"Having read it, somebody who may write can start the workflow by hand with operation preview and pull-request %d", c.PullRequest, c.PullRequest)
	return c
}

// onTarget refuses what pull_request_target is dangerous for: it runs with
// secrets and a token that may write, and a workflow that checks out the pull
// request's code hands it both. To remove a preview no such code is needed.
func onTarget(e Event, in Inputs) (Command, error) {
	if e.Action == "closed" {
		c := in.command(Preview)
		c.PullRequest, c.Close = e.PullRequest.Number, true
		return c, nil
	}
	return Command{}, deploy.Usage("run on pull_request instead",
		"pull_request_target gives secrets and a token that may write to whatever code is checked out, a stranger's too: nothing is built on it")
}

func onPush(e Event, c Command) Command {
	switch tag, isTag := e.Tag(); {
	case e.Deleted:
		return skip("%s was deleted: there is nothing to release", e.Ref)
	case isTag && !strings.HasPrefix(tag, "v"):
		return skip("the tag %s does not name a version such as v1.4.2: nothing is released from it", tag)
	case isTag:
		return tagged(c, tag)
	case e.DefaultBranch == "":
		return skip("the event does not say which branch is the default one: nothing is released from %s", e.Ref)
	case e.Branch() != e.DefaultBranch:
		return skip("%s is not the default branch %s: nothing is released from it", e.Branch(), e.DefaultBranch)
	}
	return c
}

func onRelease(e Event, c Command) Command {
	if e.Action != "published" || e.Release.Draft {
		return skip("the release %s was %s: only published releases are released", e.Release.Tag, orElse(e.Action, "changed"))
	}
	return tagged(c, e.Release.Tag)
}

// tagged releases the version that a tag names. Tags that move (v1, v1.4) and
// tags of other things name none.
func tagged(c Command, tag string) Command {
	version, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	if err != nil {
		return skip("the tag %s does not name a version such as v1.4.2: nothing is released from it", tag)
	}
	c.Version = orElse(c.Version, version.String())
	return c
}

func onDispatch(e Event, in Inputs) (Command, error) {
	given := func(name, own string) string { return orElse(own, strings.TrimSpace(e.DispatchInputs[name])) }
	c := in.command(strings.ToLower(given(InputOperation, in.Operation)))
	hint := "give the workflow an input `operation` with the options " + strings.Join(Operations(), ", ") +
		", or set the input command of the action"
	if c.Name == "" {
		return Command{}, deploy.Usage(hint, "the workflow was started by hand and does not say which operation to do")
	}
	if !slices.Contains(Operations(), c.Name) {
		return Command{}, deploy.Usage(hint, "operation %q is not known", c.Name)
	}
	c.Version = plain(given(InputVersion, in.Version))
	c.Environment = given(InputEnvironment, in.Environment)
	c.Reason = given(InputReason, in.Reason)
	c.Strategy = deploy.Kind(given(InputStrategy, string(in.Strategy)))
	p := parser{}
	c.DryRun = c.DryRun || p.truth(InputDryRun, given(InputDryRun, ""))
	c.SkipOrder = c.SkipOrder || p.truth(InputSkipOrder, given(InputSkipOrder, ""))
	if c.PullRequest == 0 {
		c.PullRequest = p.number(InputPullRequest, given(InputPullRequest, ""))
	}
	return c, errors.Join(p.errs...)
}

func skip(format string, args ...any) Command {
	return Command{Skip: fmt.Sprintf(format, args...)}
}
