package report

import (
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// maxMoments bounds every list of a Story.
const maxMoments = 2000

// kept adds an item to a list while there is room.
func kept[T any](list []T, item T) []T {
	if len(list) >= maxMoments {
		return list
	}
	return append(list, item)
}

// Timeline folds events into a Story. Its zero value is an empty one. It is
// for one goroutine.
type Timeline struct{ story Story }

// Story is what is known so far, in a copy in which every text has passed
// scrub.
func (t *Timeline) Story(scrub Scrub) Story {
	s := scrubbed(t.story, scrub)
	s.Schema = SchemaVersion
	s.Steps = orEmpty(s.Steps)
	s.Environments = orEmpty(s.Environments)
	s.Warnings = orEmpty(s.Warnings)
	s.Events = orEmpty(s.Events)
	for i := range s.Environments {
		s.Environments[i].Stages = orEmpty(s.Environments[i].Stages)
	}
	return s
}

// orEmpty makes a list that JSON prints as [] rather than null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Add folds one more event. Events may miss what usually comes before them, as
// when one process finishes what another began.
func (t *Timeline) Add(e deploy.Event) {
	t.remember(e)
	switch e.Kind {
	case deploy.RunStarted:
		t.runStarted(e)
	case deploy.StepStarted:
		t.story.Steps = kept(t.story.Steps, Step{Name: e.Message, Started: e.At, State: StateRunning})
	case deploy.StepEnded:
		t.stepEnded(e)
	case deploy.ImageReady:
		if e.Image != nil {
			t.story.Image = &Image{Repository: e.Image.Repository, Digest: e.Image.Digest, Version: e.Image.Version}
		}
	case deploy.TagMoved:
		if e.Tag != nil {
			t.story.Tags = kept(t.story.Tags, Tag(*e.Tag))
		}
		t.story.Notices = kept(t.story.Notices, e.Message)
	case deploy.Warning:
		t.story.Warnings = kept(t.story.Warnings, Warning{At: e.At, Environment: e.Environment, Message: e.Message, Hint: e.Hint})
	case deploy.Notice:
		if e.Environment == "" {
			t.story.Notices = kept(t.story.Notices, e.Message)
		}
	case deploy.RunEnded:
		t.runEnded(e)
	}
	if e.Environment != "" {
		t.environment(e.Environment).add(e)
	}
}

func (t *Timeline) remember(e deploy.Event) {
	if e.Kind == deploy.Observed || e.Kind == deploy.TaskSaid || e.Build != nil && e.Build.State == deploy.BuildRunning {
		return
	}
	t.story.Events = kept(t.story.Events, Moment{
		At: e.At, Kind: e.Kind, Environment: e.Environment, Message: e.Message,
		Stage: e.Stage, Share: e.Share, Outcome: e.Outcome, Took: seconds(e.Took),
	})
}

func (t *Timeline) runStarted(e deploy.Event) {
	t.story.Started = e.At
	if e.Run != nil {
		t.story.Run = Run(*e.Run)
	}
}

func (t *Timeline) stepEnded(e deploy.Event) {
	for i := len(t.story.Steps) - 1; i >= 0; i-- {
		if s := &t.story.Steps[i]; s.Name == e.Message && s.State == StateRunning {
			s.State, s.Took = StatePassed, seconds(e.Took)
			return
		}
	}
}

// runEnded closes the story. That the last step failed shows only now: its end
// is told in either case.
func (t *Timeline) runEnded(e deploy.Event) {
	s := &t.story
	s.Outcome, s.Message, s.Hint, s.Ended = e.Outcome, e.Message, e.Hint, e.At
	s.Took = seconds(e.Took)
	if e.Took == 0 && !s.Started.IsZero() {
		s.Took = seconds(e.At.Sub(s.Started))
	}
	if n := len(s.Steps); n > 0 && !good(e.Outcome) && !e.Asked {
		s.Steps[n-1].State = StateFailed
	}
}

func (t *Timeline) environment(name string) *Environment {
	if env := t.story.Environment(name); env != nil {
		return env
	}
	t.story.Environments = append(t.story.Environments, Environment{Name: name})
	return &t.story.Environments[len(t.story.Environments)-1]
}

// add folds an event of the environment.
func (e *Environment) add(event deploy.Event) {
	e.learn(event)
	e.task(event)
	switch event.Kind {
	case deploy.Queued:
		e.queue(event)
	case deploy.SteppedAside:
		e.Aside = orElse(event.Message, "a newer run has been there")
	case deploy.RolloutStarted:
		e.begin(event)
	case deploy.StageStarted:
		e.startStage(event)
	case deploy.Observed:
		e.observe(event)
	case deploy.Checked:
		e.check(event)
	case deploy.StagePassed:
		e.endStage(event.At, StatePassed)
		e.Share = event.Share
	case deploy.Reverting:
		e.endStage(event.At, StateFailed)
		e.Revert = &Revert{At: event.At, Reason: event.Message}
	case deploy.TrafficBack:
		e.back(event)
	case deploy.Removed:
		e.Removed, e.Share = orElse(event.Message, "it was removed"), 0
	case deploy.Notice:
		e.note(event)
	case deploy.RolloutEnded:
		e.end(event)
	}
}

// learn takes what any event may bring.
func (e *Environment) learn(event deploy.Event) {
	if event.URL != "" {
		e.URL = event.URL
	}
	if event.Evidence != nil {
		evidence := Evidence(*event.Evidence)
		e.Evidence = &evidence
	}
	if event.Drift != nil {
		e.differed(*event.Drift)
	}
}

// note keeps a line, and what is planned where the run has come to nothing else.
func (e *Environment) note(event deploy.Event) {
	e.Notices = kept(e.Notices, event.Message)
	if event.Plan != nil && !e.concerned() {
		e.plan(*event.Plan)
	}
}

// queue remembers what is to come. What is live then is not known yet.
func (e *Environment) queue(event deploy.Event) {
	e.Queued = event.At
	if event.Plan != nil {
		e.Strategy, e.Candidate = event.Plan.Strategy.Kind, version(event.Plan.Candidate)
	}
}

// begin starts the environment's story, anew if it had one in this run.
func (e *Environment) begin(event deploy.Event) {
	*e = Environment{Name: e.Name, URL: e.URL, Notices: e.Notices, Queued: e.Queued, Started: event.At}
	if event.Plan != nil {
		e.plan(*event.Plan)
	}
}

func (e *Environment) plan(p deploy.Plan) {
	e.Strategy = p.Strategy.Kind
	e.Candidate, e.Previous, e.Baseline = version(p.Candidate), version(p.Live), version(p.Baseline)
	e.acts = nil
	for _, s := range p.Stages {
		e.acts = append(e.acts, s.Act)
	}
}

func version(r deploy.Revision) *Version {
	if r.IsZero() {
		return nil
	}
	return &Version{Version: r.Image.Version, Digest: r.Image.Digest, Revision: r.ID}
}

func (e *Environment) startStage(event deploy.Event) {
	e.endStage(event.At, StatePassed)
	s := Stage{Number: event.Stage, Name: event.Message, Share: event.Share, State: StateRunning, Started: event.At}
	if n := event.Stage; 0 < n && n <= len(e.acts) {
		s.Act = e.acts[n-1]
	}
	e.Stages = kept(e.Stages, s)
}

func (e *Environment) endStage(at time.Time, state State) {
	if s := e.current(); s != nil && s.State == StateRunning {
		s.State, s.Ended = state, at
	}
}

func (e *Environment) observe(event deploy.Event) {
	s, o := e.current(), event.Observation
	if s == nil || o == nil {
		return
	}
	e.Share = o.Share
	before := s.Observation
	s.Observation = &Observation{
		Share: o.Share, Baseline: o.Baseline, Live: traffic(o.Live), Candidate: traffic(o.Candidate), Uncounted: o.Uncounted,
		Ready: o.Ready, Replicas: o.Replicas,
		Elapsed: seconds(o.Elapsed), Hold: seconds(o.Hold), Verdict: event.Message, Judge: judged(o.Verdict),
	}
	e.follow(event.At, before, s.Observation)
}

func traffic(t deploy.Traffic) Traffic {
	return Traffic{Requests: t.Requests, Errors: t.Errors, Lost: t.Lost}
}

func (e *Environment) check(event deploy.Event) {
	if event.Check == nil {
		return
	}
	c := Check{
		Name: event.Check.Name, Passed: event.Check.Passed, Detail: event.Check.Detail,
		Attempts: event.Check.Attempts, Took: seconds(event.Check.Took),
	}
	if s := e.current(); s != nil && s.Number == event.Stage {
		s.Checks = kept(s.Checks, c)
		return
	}
	e.Checks = kept(e.Checks, c)
}

func (e *Environment) back(event deploy.Event) {
	if e.Revert == nil {
		e.Revert = &Revert{At: event.At.Add(-event.Took)}
	}
	took := seconds(event.Took)
	e.Revert.TrafficBack = &took
	e.Share = 0
}

func (e *Environment) end(event deploy.Event) {
	state := StateFailed
	if good(event.Outcome) {
		state = StatePassed
	}
	e.endStage(event.At, state)
	e.Outcome, e.Reason, e.Hint, e.Ended = event.Outcome, event.Message, event.Hint, event.At
	e.WatchedUntil = event.Until
	e.Took = seconds(event.Took)
	if event.Plan != nil && (e.Candidate == nil || !e.began()) {
		e.plan(*event.Plan)
	}
	switch event.Outcome {
	case deploy.Promoted, deploy.Unchanged:
		e.Share = 100
	case deploy.Failed, deploy.Reverted:
		e.Share = 0
	}
}
