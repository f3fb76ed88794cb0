package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-ci/slipway/forge/githubtest"
)

// sha is the commit that the runner of scripts has checked out.
const sha = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"

// runID is the workflow run that scripts are.
const runID = 4711

// payloadOf is the file that has a payload.
func payloadOf(ts *testscript.TestScript, name string) string {
	event, number, isExample := strings.Cut(name, ":")
	if !isExample {
		return ts.MkAbs(name)
	}
	n, err := strconv.Atoi(number)
	ts.Check(err)
	content, err := githubtest.Payload(event, n)
	ts.Check(err)
	path := ts.MkAbs("payload.json")
	ts.Check(os.WriteFile(path, content, 0o644))
	return path
}

// onRunner makes the script's environment that of a GitHub runner: onrunner
// EVENT REF [PAYLOAD]. Payloads are GitHub's own examples, by event and number
// (push:5), or files of the script; left out, it is the first example of the
// event. What the step before wrote is forgotten.
func onRunner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: onrunner EVENT REF [PAYLOAD]")
	}
	work := ts.Getenv("WORK")
	path := payloadOf(ts, append(args, args[0]+":1")[2])
	for name, value := range map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": args[0], "GITHUB_REF": args[1], "GITHUB_EVENT_PATH": path,
		"GITHUB_SHA": sha, "GITHUB_REPOSITORY": githubtest.Repository, "GITHUB_ACTOR": "octocat", "GITHUB_WORKSPACE": work,
		"GITHUB_RUN_ID": fmt.Sprint(runID), "GITHUB_RUN_ATTEMPT": "2", "GITHUB_SERVER_URL": "https://github.com",
		"GITHUB_OUTPUT": filepath.Join(work, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(work, "summary.md"),
	} {
		ts.Setenv(name, value)
	}
	for _, name := range []string{"output", "summary.md"} {
		ts.Check(os.WriteFile(filepath.Join(work, name), nil, 0o644))
	}
}

// github starts a GitHub with one pull request for the commit, and gives the
// script's action its token.
func github(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: github")
	}
	s := stageOf(ts)
	s.github = githubtest.New(s.t)
	s.github.AddPull(sha, githubtest.Pull{Number: 7, State: "closed", HeadSHA: sha, MergeSHA: sha, Merged: true})
	ts.Setenv("GITHUB_API_URL", s.github.URL)
	ts.Setenv("INPUT_GITHUB-TOKEN", githubtest.Token)
}

// atGitHub prints what GitHub has been told: the deployments with their
// statuses, those of commits, then the comments; on standard error, how many requests came.
func atGitHub(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) > 0 || s.github == nil {
		ts.Fatalf("usage: atgithub, after github")
	}
	for _, d := range s.github.Deployments() {
		var states []string
		for _, status := range d.Statuses {
			states = append(states, status.State)
		}
		last := d.Statuses[len(d.Statuses)-1]
		_, _ = fmt.Fprintf(ts.Stdout(), "deployment %d of %s to %s: %s, at %s, log %s\n",
			d.ID, d.SHA, d.Environment, strings.Join(states, " "), last.EnvironmentURL, last.LogURL)
	}
	for _, status := range s.github.CommitStatuses() {
		_, _ = fmt.Fprintf(ts.Stdout(), "status of %s, %s: %s, %s, at %s\n", status.SHA, status.Context, status.State, status.Description, status.TargetURL)
	}
	_, _ = fmt.Fprintf(ts.Stderr(), "%d requests\n", len(s.github.Requests()))
	for _, c := range s.github.Comments() {
		_, _ = fmt.Fprintf(ts.Stdout(), "comment on #%d, edited %d times:\n%s\n", c.Issue, c.Edits, c.Body)
	}
}

// refuse makes GitHub answer everything with a status from now on; 0 ends that.
func refuse(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	var status int
	if _, err := fmt.Sscan(strings.Join(args, " "), &status); neg || err != nil || s.github == nil {
		ts.Fatalf("usage: refuse STATUS, after github")
	}
	s.github.Recover()
	if status != 0 {
		s.github.Fail(githubtest.Fault{Match: ".", Times: -1, Status: status})
	}
}

// protect gives an environment rules at GitHub: protect ENVIRONMENT RULE...,
// with rules such as reviewers=octocat,@ops wait=30 branches=main,release/*
func protect(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) == 0 || s.github == nil {
		ts.Fatalf("usage: protect ENVIRONMENT RULE..., after github")
	}
	e := githubtest.Environment{Name: args[0]}
	for _, rule := range args[1:] {
		name, value, _ := strings.Cut(rule, "=")
		switch name {
		case "reviewers":
			e.Reviewers = strings.Split(value, ",")
		case "branches":
			e.Branches = strings.Split(value, ",")
		case "wait":
			_, err := fmt.Sscan(value, &e.WaitMinutes)
			ts.Check(err)
		default:
			ts.Fatalf("there is no rule %s", name)
		}
	}
	s.github.SetEnvironment(e)
}

// approve lets somebody approve the run for environments.
func approve(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) == 0 || s.github == nil {
		ts.Fatalf("usage: approve ENVIRONMENT..., after github")
	}
	s.github.Review(runID, "approved", args...)
}

// pull makes a pull request, or changes its state: pull NUMBER
// open|closed|merged.
func pull(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) != 2 || s.github == nil {
		ts.Fatalf("usage: pull NUMBER open|closed|merged, after github")
	}
	p := githubtest.Pull{State: args[1], Branch: "topic", HeadSHA: sha}
	if args[1] == "merged" {
		p.State, p.Merged = "closed", true
	}
	_, err := fmt.Sscan(args[0], &p.Number)
	ts.Check(err)
	s.github.SetPull(p)
}

// output sets a variable to an output of the step, the last one of the name.
func output(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: output VARIABLE NAME")
	}
	lines := strings.Split(ts.ReadFile(ts.Getenv("GITHUB_OUTPUT")), "\n")
	value, found := "", false
	for i := 0; i < len(lines); i++ {
		name, end, begins := strings.Cut(lines[i], "<<")
		if !begins {
			continue
		}
		var content []string
		for i++; i < len(lines) && lines[i] != end; i++ {
			content = append(content, lines[i])
		}
		if name == args[1] {
			value, found = strings.Join(content, "\n"), true
		}
	}
	if !found {
		ts.Fatalf("the step has no output %s", args[1])
	}
	ts.Setenv(args[0], value)
}
