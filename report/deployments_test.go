package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

func TestDeploymentsOfEachStory(t *testing.T) {
	for name, want := range map[string][]string{
		"promoted":  {"staging: queued in_progress success", "production: queued in_progress success"},
		"reverted":  {"staging: queued in_progress success", "production: queued in_progress failure"},
		"failed":    {"staging: queued in_progress failure", "production: queued inactive"},
		"first":     {"production: in_progress failure"},
		"unknown":   {"production: in_progress error"},
		"held":      {"production: in_progress"},
		"resumed":   {"production: in_progress success"},
		"under-way": {"staging: queued in_progress success", "production: queued in_progress"},
		"hostile":   {"staging: in_progress failure"},
		"stopped":   {"staging: queued in_progress success", "production: queued inactive"},
		"aside":     {"staging: queued in_progress success", "production: queued inactive"},
		"removed":   nil,
		"settled":   nil,
		"watched":   {"production: in_progress success"},
		"undone":    nil,
		"unchanged": {"staging: queued success", "production: queued inactive"},
		"dry-run":   nil,
		"built":     nil,
		"planned":   nil,
		"previewed": {"pr-7: queued in_progress success"},
		"broken":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			server.Permissions = map[string]string{"deployments": "write", "administration": "write"}
			d := NewDeployments(connect(t, server.URL), DeploymentsOptions{Production: "production", Scrub: hide})
			if errs := run(t, d, stories()[name]); len(errs) > 0 {
				t.Error(errs)
			}
			checkStates(t, server, want...)
			if d.Left() {
				t.Error("something is left queued")
			}
			for _, made := range server.Deployments() {
				if d.IDs()[made.Environment] != made.ID {
					t.Errorf("IDs %v lack %s: %d", d.IDs(), made.Environment, made.ID)
				}
				all, err := json.Marshal(made)
				if err != nil {
					t.Fatal(err)
				}
				checkSafe(t, string(all))
			}
		})
	}
}

func TestADeploymentSaysWhatItIs(t *testing.T) {
	server := githubtest.New(t)
	d := NewDeployments(connect(t, server.URL), DeploymentsOptions{Production: "production"})
	if errs := run(t, d, tellReverted()); len(errs) > 0 {
		t.Error(errs)
	}
	all := server.Deployments()
	staging, production := all[0], all[1]
	if staging.Production || !production.Production || production.Transient {
		t.Errorf("which one is production: %+v", all)
	}
	if production.Ref != commit || production.AutoMerge || production.Contexts == nil || len(*production.Contexts) != 0 {
		t.Errorf("GitHub would merge or wait for checks: %+v", production)
	}
	revision := newRevision("1.5.0")
	var p payload
	if err := json.Unmarshal(production.Payload, &p); err != nil || p != (payload{
		Run: "77-1", App: "hello", Operation: "release", Ref: "refs/heads/main",
		Version: "1.5.0", Digest: revision.Image.Digest, Revision: revision.ID, Production: true,
	}) {
		t.Errorf("payload %s: %v", production.Payload, err)
	}
	waits, begun, over := production.Statuses[0], production.Statuses[1], production.Statuses[2]
	if waits.Description != "waits for its turn" || begun.Description != "canary under way" || over.Description != "reverted: errors 11% against 0% on the live version, after 97 requests in 2 s; chance of this on an equal version below 1 in 10000" {
		t.Errorf("descriptions %q, %q", begun.Description, over.Description)
	}
	for _, s := range production.Statuses[1:] {
		if s.LogURL != "https://github.com/acme/hello/actions/runs/77" || s.EnvironmentURL != "http://production.hello.localhost:4280" {
			t.Errorf("addresses of %+v", s)
		}
	}
}

// older is a deployment that a run of ours made before.
func older(environment, run string, r deploy.Revision) githubtest.Deployment {
	p, _ := json.Marshal(payload{Run: run, Version: r.Image.Version, Digest: r.Image.Digest, Revision: r.ID})
	return githubtest.Deployment{SHA: "0000", Environment: environment, Payload: p, Production: environment == "production"}
}

func TestASuccessMakesOlderDeploymentsInactive(t *testing.T) {
	server := githubtest.New(t)
	last := newRevision("1.4.2")
	ours := func(state string) { server.AddDeployment(older("production", "70-1", last), state) }
	ours("success") // before one that is inactive: dealt with in its time
	ours("inactive")
	ours("success")
	for range 7 {
		ours("failure")
	}
	server.AddDeployment(githubtest.Deployment{Environment: "production", Production: true}, "success")
	server.AddDeployment(githubtest.Deployment{Environment: "production", Production: true}, "inactive")
	server.AddDeployment(githubtest.Deployment{Environment: "production", Production: true}, "in_progress")
	ours("in_progress")
	server.AddDeployment(older("staging", "70-1", last), "success")
	server.AddDeployment(githubtest.Deployment{Environment: "qa"}, "success")
	h := NewDeployments(connect(t, server.URL), DeploymentsOptions{Production: "production"})
	if errs := run(t, h, tellPromoted()); len(errs) > 0 {
		t.Error(errs)
	}
	failed := "production: failure"
	checkStates(
		t, server, "production: success", "production: inactive", "production: success inactive",
		failed, failed, failed, failed, failed, failed, failed,
		"production: success inactive", "production: inactive", "production: in_progress", "production: in_progress inactive",
		"staging: success inactive", "qa: success", "staging: queued in_progress success", "production: queued in_progress success",
	)
}

// TestWhatWasRemovedIsInactive: the environment of a pull request goes from
// GitHub, too, where the token may remove it. That it may not is told once.
func TestWhatWasRemovedIsInactive(t *testing.T) {
	candidate := newRevision("1.5.0")
	for name, c := range map[string]struct {
		permissions map[string]string
		events      []deploy.Event
		want        []string
		left        []string
	}{
		"by a job's token": {
			nil, append(tellRemoved(), removal("pr-8"), removal("pr-9")),
			[]string{"GitHub goes on listing environments of pull requests that are over: this token may not remove them (403)"},
			[]string{"pr-7", "pr-8", "staging"},
		},
		"by one that may": {
			map[string]string{"deployments": "write", "administration": "write"}, append(tellRemoved(), removal("pr-9")), nil, []string{"pr-8", "staging"},
		},
		"what is no preview keeps its rules": {
			map[string]string{"deployments": "write", "administration": "write"}, append(tellRemoved(), removal("staging")), nil, []string{"pr-8", "staging"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			server.Permissions = c.permissions
			for _, name := range []string{"pr-7", "pr-8", "staging"} {
				server.SetEnvironment(githubtest.Environment{Name: name})
			}
			server.AddDeployment(older("pr-7", "70-1", candidate), "failure")
			server.AddDeployment(older("pr-7", "71-1", candidate), "in_progress")
			server.AddDeployment(older("pr-7", "72-1", candidate), "success")
			server.AddDeployment(older("qa", "72-1", candidate), "success")
			errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), c.events)
			if !slices.Equal(texts(errs), c.want) || !slices.Equal(server.Environments(), c.left) {
				t.Errorf("told %q, left %v", errs, server.Environments())
			}
			checkStates(t, server, "pr-7: failure", "pr-7: in_progress inactive", "pr-7: success inactive", "qa: success")
			if got := server.Deployments()[2].Statuses[1].Description; got != "removed: pull request #7: it was merged" {
				t.Error(got)
			}
		})
	}
}

func removal(environment string) deploy.Event {
	return deploy.Event{Kind: deploy.Removed, Environment: environment, Message: "it is over"}
}

func texts(errs []error) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

func TestWhatIsLeftQueuedIsKnown(t *testing.T) {
	server := githubtest.New(t)
	d := NewDeployments(connect(t, server.URL), DeploymentsOptions{})
	broken := newTale().begin().build().queue("staging", "production").events // nobody says that it ended
	run(t, d, broken)
	if !d.Left() {
		t.Error("nothing is left")
	}
	checkStates(t, server, "staging: queued", "production: queued")
}

func TestPreviewsAreTransient(t *testing.T) {
	server := githubtest.New(t)
	tale := newTale().begin().build().queue("pr-7", "production").promoted("pr-7", "", "1.5.0").promoted("production", "", "1.5.0")
	run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{Production: "production"}), tale.events)
	all := server.Deployments()
	if !all[0].Transient || all[0].Production || all[1].Transient || !all[1].Production {
		t.Errorf("%+v", all)
	}
}

func TestTheLogIsThatOfTheJob(t *testing.T) {
	server := githubtest.New(t)
	asked := 0
	log := func(context.Context) string { asked++; return "https://github.com/acme/hello/actions/runs/77/job/5" }
	run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{Log: log}), tellReverted())
	for _, d := range server.Deployments() {
		for _, s := range d.Statuses {
			if s.LogURL != "https://github.com/acme/hello/actions/runs/77/job/5" {
				t.Errorf("%+v", s)
			}
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestADeploymentIsMadeOnce also where the answer to the request was lost.
// Another run's to the same environment is left alone: it may be at work.
func TestADeploymentIsMadeOnce(t *testing.T) {
	server := githubtest.New(t)
	another := older("production", "76-1", newRevision("1.5.0"))
	another.SHA = commit
	server.AddDeployment(another, "in_progress")
	server.Fail(githubtest.Fault{Match: "^POST .*/deployments$", Skip: 1, Times: 2, Status: 502, Done: true})
	if errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tellReverted()); len(errs) > 0 {
		t.Error(errs)
	}
	checkStates(t, server, "production: in_progress", "staging: queued in_progress success", "production: queued in_progress failure")
}

func TestSettleEndsWhatAKilledProcessLeftQueued(t *testing.T) {
	server := githubtest.New(t)
	candidate := newRevision("1.5.0")
	for _, left := range []struct{ environment, run, state string }{
		{"production", "77-1", "in_progress"},
		{"staging", "77-1", "success"},
		{"qa", "77-1", "queued"},
		{"qa", "76-1", "queued"}, // another run's
	} {
		d := older(left.environment, left.run, candidate)
		d.SHA = commit
		server.AddDeployment(d, left.state)
	}
	g := connect(t, server.URL)
	run(t, NewDeployments(g, DeploymentsOptions{Tidy: true}), tellSettled())
	checkStates(t, server, "production: in_progress failure", "staging: success", "qa: queued", "qa: queued")
	if errs := run(t, NewDeployments(g, DeploymentsOptions{}), tellSettled()); len(errs) > 0 {
		t.Error(errs)
	}
	checkStates(t, server, "production: in_progress failure", "staging: success", "qa: queued inactive", "qa: queued")
}

// TestWhatWasNeverReachedHidesNothing: it is inactive, and those before it were
// not dealt with in its time.
func TestWhatWasNeverReachedHidesNothing(t *testing.T) {
	server := githubtest.New(t)
	g := connect(t, server.URL)
	options := DeploymentsOptions{Production: "production"}
	server.AddDeployment(older("production", "70-1", newRevision("1.4.2")), "success")
	for id, events := range map[string][]deploy.Event{"71-1": tellFailed(), "72-1": tellAside()} {
		events[0].Run.ID = id
		run(t, NewDeployments(g, options), events)
	}
	run(t, NewDeployments(g, options), tellPromoted())
	var production []string
	for _, d := range server.Deployments() {
		if d.Environment == "production" {
			production = append(production, d.State())
		}
	}
	if !slices.Equal(production, []string{"inactive", "inactive", "inactive", "success"}) {
		t.Error(production)
	}
}

// ofRun is a deployment to staging of a release of hello on main.
func ofRun(id string, change func(*payload)) githubtest.Deployment {
	p := payload{Run: id, App: "hello", Operation: "release", Ref: "refs/heads/main", Version: "1.6.0"}
	if change != nil {
		change(&p)
	}
	content, _ := json.Marshal(p)
	return githubtest.Deployment{Environment: "staging", Payload: content}
}

func TestNewerRuns(t *testing.T) {
	for name, c := range map[string]struct {
		run    string
		found  githubtest.Deployment
		state  string
		passed bool
	}{
		"a newer run was successful":    {"77-1", ofRun("78-1", nil), "success", true},
		"one on its way":                {"77-1", ofRun("78-1", nil), "in_progress", false},
		"one that was taken back":       {"77-1", ofRun("78-1", nil), "failure", false},
		"one that was replaced since":   {"77-1", ofRun("78-1", nil), "inactive", false},
		"an older run":                  {"77-1", ofRun("76-3", nil), "success", false},
		"this very run":                 {"77-1", ofRun("77-1", nil), "success", false},
		"a run of more digits":          {"99-1", ofRun("100-1", nil), "success", true},
		"another branch":                {"77-1", ofRun("78-1", func(p *payload) { p.Ref = "refs/tags/v2" }), "success", false},
		"another app":                   {"77-1", ofRun("78-1", func(p *payload) { p.App = "world" }), "success", false},
		"somebody went back by hand":    {"77-1", ofRun("78-1", func(p *payload) { p.Operation = "rollback" }), "success", false},
		"another environment":           {"77-1", githubtest.Deployment{Environment: "qa", Payload: ofRun("78-1", nil).Payload}, "success", false},
		"not made by Slipway":           {"77-1", githubtest.Deployment{Environment: "staging"}, "success", false},
		"a run without a number":        {"host-12-3", ofRun("78-1", nil), "success", false},
		"one by a run without a number": {"77-1", ofRun("host-78", nil), "success", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			server.AddDeployment(c.found, c.state)
			r := theRun()
			r.ID = c.run
			why, err := NewDeployments(connect(t, server.URL), DeploymentsOptions{}).Newer(t.Context(), r, "staging")
			want := ""
			if c.passed {
				want = fmt.Sprintf("1.6.0 of run %d is live in staging already", number(payloadOf(&github.Deployment{Payload: c.found.Payload}).Run))
			}
			if err != nil || why != want {
				t.Errorf("%q, %v", why, err)
			}
		})
	}
}

// TestGitHubMakesInactiveWhatItCan: that spares requests, where the list of
// Newer says that it comes to the same.
func TestGitHubMakesInactiveWhatItCan(t *testing.T) {
	last := newRevision("1.4.2")
	world := older("staging", "70-1", last)
	world.Payload = ofRun("70-1", func(p *payload) { p.App = "world" }).Payload
	was := older("staging", "69-1", last)
	was.Payload = ofRun("69-1", func(p *payload) { p.Production = true }).Payload
	was.Production = true
	for name, c := range map[string]struct {
		older    githubtest.Deployment
		looked   bool
		itself   bool
		inactive bool
	}{
		"what is only ours":            {older("staging", "70-1", last), true, true, true},
		"nobody has looked":            {older("staging", "70-1", last), false, false, true},
		"another app's stays":          {world, true, false, false},
		"what was production once":     {was, true, false, true},
		"production is done by itself": {older("production", "70-1", last), true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			server.AddDeployment(c.older, "success")
			d := NewDeployments(connect(t, server.URL), DeploymentsOptions{Production: "production"})
			if c.looked {
				for _, env := range []string{"staging", "production"} {
					if _, err := d.Newer(t.Context(), theRun(), env); err != nil {
						t.Fatal(err)
					}
				}
			}
			if errs := run(t, d, tellPromoted()); len(errs) > 0 {
				t.Error(errs)
			}
			all := server.Deployments()
			if got := all[0].State() == "inactive"; got != c.inactive {
				t.Errorf("%+v", all[0].Statuses)
			}
			for _, d := range all[1:] {
				last := d.Statuses[len(d.Statuses)-1]
				if want := c.itself && d.Environment == "staging" || name == "production is done by itself" && d.Environment == "staging"; *last.AutoInactive != want {
					t.Errorf("%s: auto_inactive %t", d.Environment, *last.AutoInactive)
				}
			}
		})
	}
}

func TestAFailureLeavesTheOlderDeploymentActive(t *testing.T) {
	server := githubtest.New(t)
	server.AddDeployment(older("production", "70-1", newRevision("1.4.2")), "success")
	server.AddDeployment(older("staging", "70-1", newRevision("1.4.2")), "success")
	run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tellReverted())
	checkStates(t, server, "production: success", "staging: success inactive", "staging: queued in_progress success", "production: queued in_progress failure")
}

func TestARunGoesOnWithTheDeploymentThatItFinds(t *testing.T) {
	candidate := newRevision("1.5.0")
	for name, c := range map[string]struct {
		found  githubtest.Deployment
		state  string
		events []deploy.Event
		want   []string
	}{
		"of the same run, which was killed": {
			older("production", "77-1", candidate), "in_progress", tellUnknown(), []string{"production: in_progress error"},
		},
		"of the same run, with another version before": {
			older("production", "77-1", newRevision("1.4.2")), "success", tellUnknown(), []string{"production: success", "production: in_progress error"},
		},
		"held by another run, and resumed": {
			older("production", "77-1", candidate), "in_progress", tellResumed(), []string{"production: in_progress success"},
		},
		"left by another run, and settled": {
			older("production", "76-1", candidate), "in_progress", tellSettled(), []string{"production: in_progress failure"},
		},
		"ended by another run: it is not settled again": {
			older("production", "76-1", candidate), "success", tellSettled(), []string{"production: success"},
		},
		"watched on, and taken back": {
			older("production", "76-1", candidate), "success", tellUndone(), []string{"production: success failure"},
		},
		"watched on, and failed since": {
			older("production", "76-1", candidate), "failure", tellUndone(), []string{"production: failure"},
		},
		"the same version as an earlier run": {
			older("production", "70-1", candidate), "failure", tellUnknown(), []string{"production: failure", "production: in_progress error"},
		},
		"somebody else's": {
			githubtest.Deployment{SHA: commit, Environment: "production", Payload: json.RawMessage(`"{\"run\": \"77-1\"}"`)},
			"in_progress", tellSettled(),
			[]string{"production: in_progress"},
		},
		"a payload that is no object": {
			githubtest.Deployment{SHA: commit, Environment: "production", Payload: json.RawMessage(`"run"`)},
			"in_progress", tellUnknown(),
			[]string{"production: in_progress", "production: in_progress error"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			server.AddDeployment(c.found, c.state)
			if errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), c.events); len(errs) > 0 {
				t.Error(errs)
			}
			checkStates(t, server, c.want...)
		})
	}
}

// What is taken back after it was a success makes the deployment active again
// of the version that users are back on.
func TestWhatIsLiveAgainIsActiveAgain(t *testing.T) {
	server := githubtest.New(t)
	server.AddDeployment(older("production", "60-1", newRevision("1.4.2")), "inactive")
	server.AddDeployment(older("staging", "70-1", newRevision("1.4.2")), "inactive")
	server.AddDeployment(older("production", "70-1", newRevision("1.4.2")), "inactive")
	server.AddDeployment(older("production", "76-1", newRevision("1.5.0")), "success")
	if errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tellUndone()); len(errs) > 0 {
		t.Error(errs)
	}
	checkStates(t, server, "production: inactive", "staging: inactive", "production: inactive success", "production: success failure")
	all := server.Deployments()
	if got := all[2].Statuses[1].Description; got != "live again: 1.5.0 was taken back" {
		t.Errorf("it is said to be %q", got)
	}
	if got := all[3].Statuses[1].Description; !strings.HasPrefix(got, "reverted: errors 2.1% against 0.1% on the version before, after 5000 requests in 12 min") {
		t.Errorf("it is said to be %q", got)
	}
}

func TestADeniedTokenIsNotTriedAgain(t *testing.T) {
	server := githubtest.New(t)
	server.ReadOnly = true
	errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tellPromoted())
	var denied *forge.Denied
	if len(errs) != 1 || !errors.As(errs[0], &denied) || denied.Status != 403 || !strings.Contains(deploy.HintOf(errs[0]), "deployments: write") {
		t.Errorf("errors %v, hint %q", errs, deploy.HintOf(errors.Join(errs...)))
	}
	if n := len(server.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAnOlderDeploymentThatCannotBeReadIsAWarning(t *testing.T) {
	server := githubtest.New(t)
	id := server.AddDeployment(older("staging", "70-1", newRevision("1.4.2")), "success")
	server.Fail(githubtest.Fault{Match: "^GET .*/statuses", Times: -1, Status: 500})
	errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tellPromoted())
	if len(errs) == 0 || !strings.Contains(errs[0].Error(), "make an older deployment inactive: GitHub answered 500") {
		t.Errorf("%d: %v", id, errs)
	}
	checkStates(t, server, "staging: success", "staging: queued in_progress success", "production: queued in_progress success")
}

func TestWithoutACommitThereIsNoDeployment(t *testing.T) {
	server := githubtest.New(t)
	events := tellPromoted()
	r := theRun()
	r.Commit, r.Ref = "", ""
	events[0].Run = &r
	errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), events)
	if len(errs) == 0 || !strings.Contains(errs[0].Error(), "none is known") || len(server.Requests()) > 0 {
		t.Errorf("%v, %v", errs, server.Requests())
	}
}

func TestLongReasonsAreCutToWhatGitHubTakes(t *testing.T) {
	server := githubtest.New(t)
	tale := newTale().begin().rollout("staging", "1.4.2", "1.5.0")
	tale.end("staging", deploy.Event{Outcome: deploy.Failed, Message: strings.Repeat("ä::error::", 100) + "\n", Took: time.Second})
	if errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tale.events); len(errs) > 0 {
		t.Error(errs)
	}
	made := server.Deployments()[0]
	if got := []rune(made.Statuses[1].Description); len(got) != 140 {
		t.Errorf("%d characters: %s", len(got), string(got))
	}
}
