package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
)

const deploymentsPermission = "deployments: write"

// DeploymentsOptions shape what is written for an environment.
type DeploymentsOptions struct {
	// Production names the environment that GitHub shows as production: the
	// one at the end of the way. Empty: none is.
	Production string
	// Log is the address of this job's log; empty, or nil, is the run's. It is
	// asked once.
	Log func(ctx context.Context) string
	// Tidy: the process that settle comes after has said that it left nothing
	// queued; see Left.
	Tidy bool
	// Statuses: a Status has requests of its own to make.
	Statuses bool
	Scrub    Scrub
}

// Deployments keeps a GitHub deployment for each environment that a run is to
// come to, with its statuses: queued, in_progress, then success or failure (also
// for a version that was taken back; error where the state is unknown), or
// inactive where the run did not come to it. After a success, older deployments
// to the same environment become inactive; those of an environment that was
// removed do, too, and the environment goes where the token may remove it.
//
// A run that goes on with what another began (attempted again, resumed, aborted
// or settled) goes on with its deployment, too. It finds it by the run and the
// revision in its payload.
type Deployments struct {
	github *forge.Client
	o      DeploymentsOptions
	// These belong to the goroutine that reports: keeps is that the token may
	// not remove environments; log is the address, once it was asked for.
	timeline Timeline
	entries  map[string]*entry
	denied   bool
	keeps    bool
	log      *string

	mu  sync.Mutex
	ids map[string]int64
	// left are the environments whose deployment is queued.
	left map[string]bool
	// undone are deployments that were a success, of versions that were watched
	// on and taken back. It belongs to the goroutine that reports.
	undone map[int64]bool
	// before are the deployments to environments as Newer has seen them.
	before map[string][]*github.Deployment
}

// entry is what GitHub knows of an environment.
type entry struct {
	id int64
	// posted is the last state with its outcome.
	posted string
	// retired: older deployments were made inactive.
	retired bool
	// refused: GitHub does not take this one, and would not the next time.
	refused bool
}

var _ Slow = (*Deployments)(nil)

// NewDeployments makes a Deployments reporter.
func NewDeployments(g *forge.Client, o DeploymentsOptions) *Deployments {
	return &Deployments{
		github: g, o: o, entries: map[string]*entry{}, ids: map[string]int64{}, left: map[string]bool{}, undone: map[int64]bool{},
		before: map[string][]*github.Deployment{},
	}
}

// String names it.
func (d *Deployments) String() string { return "GitHub deployments" }

// Slow marks it.
func (d *Deployments) Slow() {}

// IDs are the deployments that this run has made or gone on with, by
// environment. They are complete after Hub.Close.
func (d *Deployments) IDs() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.ids)
}

// Left reports whether a deployment that this run queued is queued still, as
// far as GitHub knows.
func (d *Deployments) Left() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.left) > 0
}

// Report brings GitHub up to date with an event.
func (d *Deployments) Report(ctx context.Context, e deploy.Event) error {
	d.timeline.Add(e)
	switch e.Kind {
	case deploy.Queued, deploy.RolloutStarted, deploy.Reverting, deploy.RolloutEnded, deploy.SteppedAside, deploy.Removed:
		return d.sync(ctx, e.Environment)
	}
	return nil
}

// Flush tries once more what GitHub does not know yet. The deployment of a run
// that broke off stays in progress: settle finds it by the run, and ends it.
func (d *Deployments) Flush(ctx context.Context) error {
	var errs []error
	story := d.timeline.Story(nil)
	for _, env := range story.Environments {
		errs = append(errs, d.sync(ctx, env.Name))
	}
	if story.Run.Operation == settling && !d.o.Tidy {
		errs = append(errs, d.sweep(ctx, &story))
	}
	return errors.Join(errs...)
}

// sync makes GitHub know what is known of an environment.
func (d *Deployments) sync(ctx context.Context, name string) error {
	if d.denied {
		return nil
	}
	story := d.timeline.Story(d.o.Scrub)
	env := story.Environment(d.o.Scrub.apply(name))
	if env == nil || !concerns(env) {
		return nil
	}
	known := d.entries[env.Name]
	if known == nil {
		known = &entry{}
		d.entries[env.Name] = known
	}
	if known.refused {
		return nil
	}
	err := d.bring(ctx, &story, env, known)
	if denied, ok := errors.AsType[*forge.Denied](err); ok {
		known.refused, d.denied = true, denied.ForGood()
	}
	return err
}

// concerns leaves out what brought nothing anywhere: dry runs, what was live
// already, and what ended before it began, unless it was told to be queued.
func concerns(env *Environment) bool {
	if env.Removed != "" || !env.Queued.IsZero() {
		return true
	}
	switch env.Outcome {
	case deploy.Unchanged:
		return false
	case deploy.Failed, "":
		return env.began() || env.Revert != nil
	}
	return true
}

func (d *Deployments) bring(ctx context.Context, s *Story, env *Environment, known *entry) error {
	if env.Removed != "" {
		return d.clear(ctx, s, env, known)
	}
	if known.id == 0 {
		id, err := d.findOrCreate(ctx, s, env)
		if err != nil || id == 0 {
			return err
		}
		known.id = id
		d.remember(env.Name, id)
	}
	state := deploymentState(s, env)
	if now := state + ": " + string(env.Outcome); known.posted != now {
		if err := d.post(ctx, known.id, s, env, state); err != nil {
			return err
		}
		known.posted = now
		d.leave(env.Name, state)
	}
	if d.undone[known.id] && !known.retired {
		if err := d.revive(ctx, env); err != nil {
			return err
		}
		known.retired = true
	}
	if state == success && !known.retired {
		if err := d.retire(ctx, s, env, known.id); err != nil {
			return err
		}
		known.retired = true
	}
	return nil
}

func (d *Deployments) remember(name string, id int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[name] = id
}

func (d *Deployments) leave(name, state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if state == queued {
		d.left[name] = true
		return
	}
	delete(d.left, name)
}

// The states of GitHub that other runs ask for.
const (
	queued     = "queued"
	inProgress = "in_progress"
	success    = "success"
	inactive   = "inactive"
)

// How the descriptions of those begin that became inactive without having been
// deployed.
const (
	notReached = "not reached: "
	leftAside  = "left to a newer run: "
)

func deploymentState(s *Story, env *Environment) string {
	switch env.Outcome {
	case deploy.Promoted, deploy.Unchanged:
		return success
	case deploy.Failed, deploy.Reverted:
		return "failure"
	case deploy.Unknown:
		return "error"
	}
	switch {
	case env.Aside != "", env.waits() && s.Outcome != "":
		return inactive
	case env.waits():
		return queued
	}
	return inProgress // under way, or held until a person decides
}

// payload is what a deployment carries, for whoever reads it later.
type payload struct {
	// Run is the workflow run with its attempt, such as 4711-1.
	Run       string `json:"run"`
	App       string `json:"app,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Ref is the branch or tag, such as refs/heads/main.
	Ref      string `json:"ref,omitempty"`
	Version  string `json:"version,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Revision string `json:"revision,omitempty"`
	// Production is what GitHub was told: it does not say so itself in a list.
	Production bool `json:"production,omitempty"`
}

// payloadOf is what a deployment carries; zero for one that Slipway did not
// make.
func payloadOf(d *github.Deployment) payload {
	var p payload
	if err := json.Unmarshal(d.Payload, &p); err != nil {
		return payload{}
	}
	return p
}

var errNoDeployment = errors.New("there is no deployment in it")

// findOrCreate looks for the deployment, too, where an attempt to make it may
// have been done in spite of its error. What another run began and this one only
// ends has a deployment already, or none: the id is 0.
func (d *Deployments) findOrCreate(ctx context.Context, s *Story, env *Environment) (id int64, err error) {
	making := env.began() || !env.Queued.IsZero()
	if s.Run.Commit == "" && s.Run.Ref == "" && making {
		return 0, fmt.Errorf("create the deployment to %s: GitHub wants a commit, and none is known", env.Name)
	}
	find := d.find
	if !env.Queued.IsZero() {
		// It is new: this run does not hold the environment yet, and what an
		// earlier one left there is none of its business.
		find = func(context.Context, *Story, *Environment) (int64, error) { return 0, nil }
	}
	err = d.github.Do(ctx, "create the deployment to "+env.Name, deploymentsPermission, func(ctx context.Context) error {
		if id, err = find(ctx, s, env); id != 0 || err != nil || !making {
			return err
		}
		if !env.Queued.IsZero() {
			find = d.findOwn
		}
		created, _, err := d.github.API.Repositories.CreateDeployment(ctx, d.github.Owner, d.github.Name, d.request(s, env))
		if id = created.GetID(); id == 0 && err == nil {
			return errNoDeployment
		}
		return err
	})
	return id, err
}

// findOwn is the deployment that this run has made; 0 where there is none.
func (d *Deployments) findOwn(ctx context.Context, s *Story, env *Environment) (int64, error) {
	all, err := d.listOwn(ctx, s)
	for _, one := range all {
		p := payloadOf(one)
		if strings.EqualFold(one.GetEnvironment(), env.Name) && (env.Candidate == nil || p.Revision == env.Candidate.Revision) {
			return one.GetID(), nil
		}
	}
	return 0, err
}

// listOwn lists the deployments that this run has made, newest first.
func (d *Deployments) listOwn(ctx context.Context, s *Story) ([]*github.Deployment, error) {
	o := &github.DeploymentsListOptions{SHA: s.Run.Commit, ListOptions: github.ListOptions{PerPage: 100}}
	if s.Run.Commit == "" {
		o.Ref = s.Run.Ref
	}
	all, _, err := d.github.API.Repositories.ListDeployments(ctx, d.github.Owner, d.github.Name, o)
	return slices.DeleteFunc(all, func(one *github.Deployment) bool { return payloadOf(one).Run != s.Run.ID }), err
}

// maxFound bounds how many deployments are asked for their state when one is
// looked for.
const maxFound = 3

// find is the deployment of this run, or one of the same rollout that another
// run has left in progress, or as a success that was watched on until it was
// taken back now; 0 where there is none. Whoever reports here holds the
// environment: nobody else is at work on it.
func (d *Deployments) find(ctx context.Context, s *Story, env *Environment) (int64, error) {
	all, _, err := d.github.API.Repositories.ListDeployments(ctx, d.github.Owner, d.github.Name, &github.DeploymentsListOptions{
		Environment: env.Name, ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		return 0, err
	}
	var left []int64
	for _, candidate := range all {
		p := payloadOf(candidate)
		if p.Run == "" || env.Candidate != nil && p.Revision != env.Candidate.Revision {
			continue
		}
		if p.Run == s.Run.ID && env.began() {
			return candidate.GetID(), nil
		}
		left = append(left, candidate.GetID())
	}
	for _, id := range left[:min(maxFound, len(left))] {
		status, err := d.lastStatus(ctx, id)
		if err != nil || status.GetState() == inProgress {
			return id, err
		}
		if status.GetState() == success && env.Outcome == deploy.Reverted && slices.Contains(env.acts, deploy.ActBake) {
			d.undone[id] = true
			return id, nil
		}
	}
	return 0, nil
}

// lastStatus is the last one of a deployment; nil before the first.
func (d *Deployments) lastStatus(ctx context.Context, id int64) (*github.DeploymentStatus, error) {
	statuses, _, err := d.github.API.Repositories.ListDeploymentStatuses(ctx, d.github.Owner, d.github.Name, id, &github.ListOptions{PerPage: 1})
	if err != nil || len(statuses) == 0 {
		return nil, err
	}
	return statuses[0], nil
}

func (d *Deployments) request(s *Story, env *Environment) *github.DeploymentRequest {
	p := payload{
		Run: s.Run.ID, App: s.Run.App, Operation: s.Run.Operation, Ref: s.Run.Ref, Production: env.Name == d.o.Production,
	}
	if c := env.Candidate; c != nil {
		p.Version, p.Digest, p.Revision = c.Version, c.Digest, c.Revision
	}
	_, preview := deploy.PullRequestOf(env.Name)
	return &github.DeploymentRequest{
		Ref:                   github.String(orElse(s.Run.Commit, s.Run.Ref)),
		Task:                  github.String("deploy"),
		AutoMerge:             github.Bool(false),
		RequiredContexts:      &[]string{},
		Payload:               p,
		Environment:           github.String(env.Name),
		Description:           github.String(shorten(oneLine(s.Run.App+" "+p.Version, 140), 140)),
		TransientEnvironment:  github.Bool(preview),
		ProductionEnvironment: github.Bool(p.Production),
	}
}

func (d *Deployments) post(ctx context.Context, id int64, s *Story, env *Environment, state string) error {
	request := &github.DeploymentStatusRequest{
		State:        github.String(state),
		Description:  github.String(oneLine(description(s, env), 140)),
		AutoInactive: github.Bool(state == success && d.byItself(s, env)),
	}
	if u := webAddress(orElse(d.logOf(ctx), s.Run.URL)); u != "" {
		request.LogURL = github.String(u)
	}
	if u := webAddress(env.URL); u != "" {
		request.EnvironmentURL = github.String(u)
	}
	return d.status(ctx, id, fmt.Sprintf("set the deployment to %s to %s", env.Name, state), request)
}

// logOf is the address of this job's log, if it is known.
func (d *Deployments) logOf(ctx context.Context) string {
	if d.log == nil {
		d.log = new(string)
		if d.o.Log != nil {
			*d.log = d.o.Log(ctx)
		}
	}
	return *d.log
}

func (d *Deployments) status(ctx context.Context, id int64, doing string, request *github.DeploymentStatusRequest) error {
	return d.github.Do(ctx, doing, deploymentsPermission, func(ctx context.Context) error {
		_, _, err := d.github.API.Repositories.CreateDeploymentStatus(ctx, d.github.Owner, d.github.Name, id, request)
		return err
	})
}

func description(s *Story, env *Environment) string {
	switch {
	case env.Outcome != "":
		return string(env.Outcome) + ": " + env.Reason
	case env.Aside != "":
		return leftAside + env.Aside
	case env.waits() && s.Outcome != "":
		return notReached + orElse(s.Message, "the run is over")
	case env.waits():
		return "waits for its turn"
	case env.Strategy != "":
		return string(env.Strategy) + " under way"
	}
	return "under way"
}
