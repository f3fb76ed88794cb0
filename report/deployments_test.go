package report

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

func TestDeploymentsOfEachStory(t *testing.T) {
	for name, want := range map[string][]string{
		"promoted":  {"staging: in_progress success", "production: in_progress success"},
		"reverted":  {"staging: in_progress success", "production: in_progress failure"},
		"failed":    {"staging: in_progress failure"},
		"first":     {"production: in_progress failure"},
		"unknown":   {"production: in_progress error"},
		"held":      {"production: in_progress"},
		"resumed":   {"production: in_progress success"},
		"under-way": {"staging: in_progress success", "production: in_progress"},
		"hostile":   {"staging: in_progress failure"},
		"stopped":   {"staging: in_progress success"},
		"removed":   nil,
		"settled":   nil,
		"unchanged": nil,
		"dry-run":   nil,
		"built":     nil,
		"broken":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			d := NewDeployments(connect(t, server.URL), DeploymentsOptions{Production: "production", Scrub: hide})
			if errs := run(t, d, stories()[name]); len(errs) > 0 {
				t.Error(errs)
			}
			checkStates(t, server, want...)
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
	if err := json.Unmarshal(production.Payload, &p); err != nil || p != (payload{"77-1", "1.5.0", revision.Image.Digest, revision.ID}) {
		t.Errorf("payload %s: %v", production.Payload, err)
	}
	begun, over := production.Statuses[0], production.Statuses[1]
	if begun.Description != "canary under way" || over.Description != "reverted: 11 of 97 answers of 1.5.0 were 5xx (11.3%), more than 1%" {
		t.Errorf("descriptions %q, %q", begun.Description, over.Description)
	}
	for _, s := range production.Statuses {
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
		"staging: success inactive", "qa: success", "staging: in_progress success", "production: in_progress success",
	)
}

func TestWhatWasRemovedIsInactive(t *testing.T) {
	server := githubtest.New(t)
	candidate := newRevision("1.5.0")
	server.AddDeployment(older("pr-7", "70-1", candidate), "failure")
	server.AddDeployment(older("pr-7", "71-1", candidate), "in_progress")
	server.AddDeployment(older("pr-7", "72-1", candidate), "success")
	server.AddDeployment(older("pr-8", "72-1", candidate), "success")
	if errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{Transient: true}), tellRemoved()); len(errs) > 0 {
		t.Error(errs)
	}
	checkStates(t, server, "pr-7: failure", "pr-7: in_progress inactive", "pr-7: success inactive", "pr-8: success")
	if got := server.Deployments()[2].Statuses[1].Description; got != "removed: pull request #7: it was merged" {
		t.Error(got)
	}
}

func TestAFailureLeavesTheOlderDeploymentActive(t *testing.T) {
	server := githubtest.New(t)
	server.AddDeployment(older("production", "70-1", newRevision("1.4.2")), "success")
	server.AddDeployment(older("staging", "70-1", newRevision("1.4.2")), "success")
	run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tellReverted())
	checkStates(t, server, "production: success", "staging: success inactive", "staging: in_progress success", "production: in_progress failure")
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

func TestADeniedTokenIsNotTriedAgain(t *testing.T) {
	server := githubtest.New(t)
	server.ReadOnly = true
	errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{}), tellPromoted())
	var denied *forge.Denied
	if len(errs) != 1 || !errors.As(errs[0], &denied) || denied.Status != 403 || !strings.Contains(deploy.HintOf(errs[0]), "deployments: write") {
		t.Errorf("errors %v, hint %q", errs, deploy.HintOf(errors.Join(errs...)))
	}
	if n := len(server.Requests()); n != 2 {
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
	checkStates(t, server, "staging: success", "staging: in_progress success", "production: in_progress success")
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
	if errs := run(t, NewDeployments(connect(t, server.URL), DeploymentsOptions{Transient: true}), tale.events); len(errs) > 0 {
		t.Error(errs)
	}
	made := server.Deployments()[0]
	if got := []rune(made.Statuses[1].Description); len(got) != 140 || !made.Transient {
		t.Errorf("%d characters: %s", len(got), string(got))
	}
}
