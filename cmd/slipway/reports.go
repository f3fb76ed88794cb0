package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/report"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/steps"
)

// reports are all those that are told what a run does.
type reports struct{ hub *report.Hub }

// reports opens every report that this run can write to. What GitHub refuses is
// a warning in the others; a repository name that cannot be is refused before
// anything is done.
func (s *session) reports() (*reports, error) {
	scrub := report.Scrub(s.masker.String)
	console := report.ConsoleOptions{
		Out: s.screen, Terminal: s.Terminal, Width: s.Width, NoColor: s.Getenv("NO_COLOR") != "", Scrub: scrub,
		Requests: s.requests,
	}
	if s.runner.Present() {
		console.Runner, console.Terminal = s.runner, false
	}
	var all []deploy.Reporter
	if !s.options.json { // then there is nothing but JSON on the screen
		all = append(all, report.NewConsole(console))
	}
	if err := s.openForge(); err != nil {
		return nil, err
	}
	var calls func() int
	if s.forge != nil {
		calls = s.forge.Calls
	}
	if s.runner.Present() && s.Getenv("GITHUB_STEP_SUMMARY") != "" {
		all = append(all, report.NewSummary(report.SummaryOptions{Write: s.runner.Summary, Calls: calls, Scrub: scrub}))
	}
	if s.options.report != "" {
		all = append(all, report.NewJSON(report.JSONOptions{Path: s.options.report, Calls: calls, Requests: s.requests, Scrub: scrub}))
	}
	return &reports{hub: report.NewHub(s.log, append(all, s.hosted(scrub)...)...)}, nil
}

// hosted are the reports at GitHub. A dry run has none: it changes nothing
// there either. What has drifted is not of the commit that a run is on.
func (s *session) hosted(scrub report.Scrub) []deploy.Reporter {
	if s.forge == nil || s.options.dryRun || s.run.Operation == action.Drift {
		return nil
	}
	// What a scheduled run takes back is not of the commit that it runs on.
	statuses := s.options.commitStatus && s.run.Operation != action.Reap
	s.deployments = report.NewDeployments(s.forge, report.DeploymentsOptions{
		Production: s.last(), Log: s.jobLog, Tidy: s.runner.State(stateTidy) != "",
		Statuses: statuses, Scrub: scrub,
	})
	comment := report.NewComment(s.forge, report.CommentOptions{
		PullRequest: s.options.pullRequest, Statuses: statuses, Scrub: scrub,
	})
	all := []deploy.Reporter{report.NewHeadroom(s.forge), s.deployments, comment}
	if statuses {
		all = append(all, report.NewStatus(s.forge, report.StatusOptions{Scrub: scrub}))
	}
	return all
}

// stateTidy is what the step keeps for its post-entrypoint where it has left
// nothing queued at GitHub: settle then has not to look.
const stateTidy = "tidy"

// keepTidy spares settle after the job what it would find in vain.
func (s *session) keepTidy() error {
	if s.deployments == nil || s.deployments.Left() || s.Getenv("GITHUB_STATE") == "" {
		return nil
	}
	return s.runner.SetState(stateTidy, "true")
}

// last is the environment at the end of the way.
func (s *session) last() string {
	environments := s.file.App.Environments
	return environments[len(environments)-1].Name
}

func (r *reports) tell(ctx context.Context, e deploy.Event) { _ = r.hub.Report(ctx, e) }

// closeLimit bounds the time for reports that are still on their way to GitHub.
const closeLimit = 30 * time.Second

// close waits for the reports, also when the run was cancelled. What could not
// be reported is a warning in those that could.
func (r *reports) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	_ = r.hub.Close(ctx)
}

// outputs hands the results to the steps after this one. Where a run goes
// through several environments, they are about the last that it came to.
func (s *session) outputs(w *steps.Work, outcome deploy.Outcome) error {
	values := map[string]string{
		action.OutputOutcome: string(outcome),
		action.OutputVersion: w.Version,
		action.OutputDigest:  w.Image.Digest,
		action.OutputReport:  s.options.report,
	}
	if w.Image.Repository != "" && w.Image.Digest != "" {
		values[action.OutputImage] = w.Image.Reference()
	}
	if n, told := found(w.Drifts); told {
		values[action.OutputDrift] = strconv.Itoa(n)
	}
	if n := len(w.Plans); n > 0 {
		about(values, rollout.Result{Environment: w.Plans[n-1].Environment, Plan: w.Plans[n-1], Previous: w.Plans[n-1].Live})
	}
	if n := len(w.Results); n > 0 {
		about(values, w.Results[n-1])
	}
	if s.deployments != nil {
		if id := s.deployments.IDs()[values[action.OutputEnvironment]]; id != 0 {
			values[action.OutputDeploymentID] = strconv.FormatInt(id, 10)
		}
	}
	for _, spec := range action.OutputSpecs() {
		if err := s.runner.SetOutput(spec.Name, values[spec.Name]); err != nil {
			return err
		}
	}
	return s.keepTidy()
}

// about adds what is known of a deployment.
func about(values map[string]string, r rollout.Result) {
	values[action.OutputEnvironment] = r.Environment
	values[action.OutputURL] = r.URL
	values[action.OutputRevision] = r.Plan.Candidate.ID
	values[action.OutputPreviousRevision] = r.Previous.ID
	if plan, err := json.Marshal(r.Plan); err == nil {
		values[action.OutputPlan] = string(plan)
	}
}
