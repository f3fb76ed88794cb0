package action

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// maxPayload is how much of GITHUB_EVENT_PATH is read: GitHub's own limit for
// payloads.
const maxPayload = 25 << 20

// Event is what started the workflow run: the runner's environment, and what
// Slipway needs of the payload.
type Event struct {
	// Name is the event's, such as push or workflow_dispatch; Action is its
	// activity type, such as published, where it has one.
	Name   string
	Action string
	// Ref is the full name, such as refs/heads/main.
	Ref string
	SHA string
	// Repository is owner/name.
	Repository    string
	DefaultBranch string
	Actor         string
	Job           string
	// Deleted: the push removed Ref.
	Deleted bool
	// PullRequest is set by pull_request, pull_request_target and the events
	// of reviews; otherwise its Number is 0.
	PullRequest PullRequest
	// Release is set by release; otherwise its Tag is empty.
	Release ReleaseEvent
	// DispatchInputs are those of workflow_dispatch, as text: numbers and
	// booleans as JSON has them, null as nothing.
	DispatchInputs map[string]string
}

// PullRequest is the pull request that an event is about.
type PullRequest struct {
	Number  int
	HeadSHA string
	// Fork: it comes from another repository (or from one that was deleted),
	// so that its token may only read and no secrets are there.
	Fork   bool
	Merged bool
}

// ReleaseEvent is the GitHub release that an event is about.
type ReleaseEvent struct {
	Tag        string
	Prerelease bool
	Draft      bool
}

// Branch is the short name of the branch in Ref; empty for a tag.
func (e Event) Branch() string {
	name, ok := strings.CutPrefix(e.Ref, "refs/heads/")
	if !ok {
		return ""
	}
	return name
}

// Tag is the short name of the tag in Ref, and whether Ref is one.
func (e Event) Tag() (string, bool) { return strings.CutPrefix(e.Ref, "refs/tags/") }

// Event reads what started the run. A payload that is missing, larger than
// 25 MiB or not what GitHub writes is an error that says so; without a
// GITHUB_EVENT_PATH there is no payload to read.
func (r *Runner) Event() (Event, error) {
	e := Event{
		Name:       r.getenv("GITHUB_EVENT_NAME"),
		Ref:        r.getenv("GITHUB_REF"),
		SHA:        r.getenv("GITHUB_SHA"),
		Repository: r.getenv("GITHUB_REPOSITORY"),
		Actor:      r.getenv("GITHUB_ACTOR"),
		Job:        r.getenv("GITHUB_JOB"),
	}
	path := r.getenv("GITHUB_EVENT_PATH")
	if path == "" {
		return e, nil
	}
	payload, err := readPayload(path)
	if err == nil {
		err = e.fill(payload)
	}
	if err != nil {
		return e, deploy.Hinted(fmt.Errorf("read the event %s from %s: %w", e.Name, path, err),
			"GITHUB_EVENT_PATH has to name the payload that GitHub wrote; set the input command to go without it")
	}
	return e, nil
}

func readPayload(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	payload, err := io.ReadAll(io.LimitReader(f, maxPayload+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("it is larger than %d MiB", maxPayload>>20)
	}
	return payload, nil
}

// fill takes from a payload what its event defines. Sections that other events
// give another meaning under the same name are left alone.
func (e *Event) fill(payload []byte) error {
	sections := map[string]json.RawMessage{}
	if err := json.Unmarshal(payload, &sections); err != nil {
		return fmt.Errorf("it is not a JSON object: %w", err)
	}
	errs := []error{e.fillCommon(sections)}
	switch e.Name {
	case "push":
		errs = append(errs, e.fillPush(sections))
	case "release":
		errs = append(errs, e.fillRelease(sections))
	case "workflow_dispatch":
		errs = append(errs, e.fillDispatch(sections))
	case "pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment":
		errs = append(errs, e.fillPullRequest(sections))
	}
	return errors.Join(errs...)
}

func (e *Event) fillCommon(sections map[string]json.RawMessage) error {
	var repository struct {
		FullName      string `json:"full_name"`
		DefaultBranch string `json:"default_branch"`
	}
	err := errors.Join(
		decode(sections, "action", &e.Action),
		decode(sections, "repository", &repository),
	)
	e.DefaultBranch = repository.DefaultBranch
	e.Repository = orElse(e.Repository, repository.FullName)
	return err
}

func (e *Event) fillPush(sections map[string]json.RawMessage) error {
	var ref, after string
	err := errors.Join(
		decode(sections, "ref", &ref),
		decode(sections, "after", &after),
		decode(sections, "deleted", &e.Deleted),
	)
	// When a ref is deleted, the runner's GITHUB_REF is the default branch;
	// the payload names the one that is gone.
	if e.Deleted || e.Ref == "" {
		e.Ref = orElse(ref, e.Ref)
	}
	e.SHA = orElse(e.SHA, after)
	return err
}

func (e *Event) fillRelease(sections map[string]json.RawMessage) error {
	var release struct {
		Tag        string `json:"tag_name"`
		Prerelease bool   `json:"prerelease"`
		Draft      bool   `json:"draft"`
	}
	err := decode(sections, "release", &release)
	e.Release = ReleaseEvent(release)
	if e.Ref == "" && release.Tag != "" {
		e.Ref = "refs/tags/" + release.Tag
	}
	return err
}

func (e *Event) fillDispatch(sections map[string]json.RawMessage) error {
	var ref string
	inputs := map[string]json.RawMessage{}
	err := errors.Join(decode(sections, "ref", &ref), decode(sections, "inputs", &inputs))
	e.Ref = orElse(e.Ref, ref)
	e.DispatchInputs = make(map[string]string, len(inputs))
	for name, value := range inputs {
		e.DispatchInputs[name] = text(value)
	}
	return err
}

func (e *Event) fillPullRequest(sections map[string]json.RawMessage) error {
	type repository struct {
		FullName string `json:"full_name"`
	}
	var pull struct {
		Number int  `json:"number"`
		Merged bool `json:"merged"`
		Head   struct {
			SHA  string      `json:"sha"`
			Repo *repository `json:"repo"`
		} `json:"head"`
		Base struct {
			Repo *repository `json:"repo"`
		} `json:"base"`
	}
	err := decode(sections, "pull_request", &pull)
	same := pull.Head.Repo != nil && pull.Base.Repo != nil && pull.Head.Repo.FullName == pull.Base.Repo.FullName
	e.PullRequest = PullRequest{
		Number: pull.Number, HeadSHA: pull.Head.SHA, Fork: pull.Number != 0 && !same, Merged: pull.Merged,
	}
	return err
}

// decode reads one section; one that is absent leaves the zero value.
func decode(sections map[string]json.RawMessage, name string, into any) error {
	raw, ok := sections[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// text is a JSON value as a person would write it in a form.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(bytes.TrimSpace(raw))
}
