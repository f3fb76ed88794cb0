package action

import (
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
	Promote  = "promote"
	Rollback = "rollback"
	Settle   = "settle"
	Status   = "status"
	History  = "history"
	Validate = "validate"
)

// Commands are the valid values of the input command.
func Commands() []string {
	return []string{Auto, Release, Build, Promote, Rollback, Settle, Status, History, Validate}
}

// Operations are the valid values of the input operation, and of the input of
// that name in a workflow that is started by hand.
func Operations() []string { return []string{Release, Promote, Rollback} }

// Command is what is to be run, chosen from the event and the inputs.
type Command struct {
	// Name is one of Commands, never auto; empty when Skip is set.
	Name string
	// Version is a semver without a leading v; empty lets git decide. For a
	// rollback it is the version to go back to; empty is the one before.
	Version     string
	Environment string
	Reason      string
	// Skip says why there is nothing to do, in one sentence. It is not an
	// error: the run prints it as a notice and ends well, so that a workflow
	// with a plain `on: push` does not turn every branch red.
	Skip string
}

// Choose finds the command. The input command decides; auto goes by the event:
//
//   - push to the default branch, push of a tag such as v1.4.2, release
//     published: release
//   - workflow_dispatch: what the input operation of the action, or else of
//     the dispatch, says: release, promote or rollback, with version,
//     environment and reason from the same places
//   - pushes of other branches and tags, and of deletions; releases that are
//     not published or that are named by no version: a skip
//   - every other event: a deploy.Usage that says what can be done instead
func Choose(e Event, in Inputs) (Command, error) {
	c := Command{Name: in.Command, Version: in.Version, Environment: in.Environment, Reason: in.Reason}
	if in.Command == Auto || in.Command == "" {
		var err error
		if c, err = byEvent(e, in); err != nil {
			return Command{}, err
		}
	}
	return c, c.complete()
}

// complete refuses a command that lacks what it cannot guess.
func (c Command) complete() error {
	switch {
	case c.Name == Promote && (c.Version == "" || c.Environment == ""):
		return deploy.Usage("set both inputs: version (such as 1.4.2) and environment (such as production)",
			"promote needs a version and an environment")
	case c.Name == Rollback && c.Environment == "":
		return deploy.Usage("set the input environment (such as production)", "rollback needs an environment")
	}
	return nil
}

func byEvent(e Event, in Inputs) (Command, error) {
	c := Command{Name: Release, Version: in.Version, Environment: in.Environment, Reason: in.Reason}
	switch e.Name {
	case "push":
		return onPush(e, c), nil
	case "release":
		return onRelease(e, c), nil
	case "workflow_dispatch":
		return onDispatch(e, in)
	case "":
		return Command{}, deploy.Usage("name a command, such as `slipway release`; auto is for a GitHub runner, which sets GITHUB_EVENT_NAME",
			"there is no event to choose a command by")
	}
	return Command{}, notYet(e)
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
	operation := strings.ToLower(orElse(in.Operation, e.DispatchInputs[InputOperation]))
	hint := "give the workflow an input `operation` with the options " + strings.Join(Operations(), ", ") +
		", or set the input command of the action"
	if operation == "" {
		return Command{}, deploy.Usage(hint, "the workflow was started by hand and does not say which operation to do")
	}
	if !slices.Contains(Operations(), operation) {
		return Command{}, deploy.Usage(hint, "operation %q is not known", operation)
	}
	version, err := dispatchVersion(e)
	if err != nil {
		return Command{}, err
	}
	return Command{
		Name:        operation,
		Version:     orElse(in.Version, version),
		Environment: orElse(in.Environment, e.DispatchInputs[InputEnvironment]),
		Reason:      orElse(in.Reason, e.DispatchInputs[InputReason]),
	}, nil
}

func dispatchVersion(e Event) (string, error) {
	s := strings.TrimSpace(e.DispatchInputs[InputVersion])
	if s == "" {
		return "", nil
	}
	version, err := semver.StrictNewVersion(strings.TrimPrefix(s, "v"))
	if err != nil {
		return "", deploy.Usage("start it again with a version such as 1.4.2", "the workflow was started with version %q, which is not a semantic version", s)
	}
	return version.String(), nil
}

func skip(format string, args ...any) Command {
	return Command{Skip: fmt.Sprintf(format, args...)}
}

// notYet refuses the events that Slipway has no answer to.
func notYet(e Event) error {
	const instead = "run Slipway on push, on a published release or on workflow_dispatch, or set the input command (such as validate)"
	switch e.Name {
	case "pull_request", "pull_request_target":
		return deploy.Usage(instead, "plans and previews of pull requests are not part of this version of Slipway")
	case "schedule":
		return deploy.Usage(instead, "drift detection on a schedule is not part of this version of Slipway")
	}
	return deploy.Usage(instead, "auto does not know what to do on the event %s", e.Name)
}
