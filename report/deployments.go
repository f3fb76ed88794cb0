package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	// Transient: the environments go away again, as previews do.
	Transient bool
	Scrub     Scrub
}

// Deployments keeps a GitHub deployment for each environment that a run comes
// to, with its statuses: in_progress, then success or failure (also for a
// version that was taken back; error where the state is unknown). After a
// success, older deployments to the same environment become inactive.
//
// A run that goes on with what another began (attempted again, resumed, aborted
// or settled) goes on with its deployment, too. It finds it by the run and the
// revision in its payload.
type Deployments struct {
	github *forge.Client
	o      DeploymentsOptions
	// timeline and entries belong to the goroutine that reports.
	timeline Timeline
	entries  map[string]*entry
	denied   bool

	mu  sync.Mutex
	ids map[string]int64
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
	return &Deployments{github: g, o: o, entries: map[string]*entry{}, ids: map[string]int64{}}
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

// Report brings GitHub up to date with an event.
func (d *Deployments) Report(ctx context.Context, e deploy.Event) error {
	d.timeline.Add(e)
	switch e.Kind {
	case deploy.RolloutStarted, deploy.Reverting, deploy.RolloutEnded, deploy.Removed:
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
// already, and what ended before it began.
func concerns(env *Environment) bool {
	if env.Removed != "" {
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
		return d.clear(ctx, env, known)
	}
	if known.id == 0 {
		id, err := d.findOrCreate(ctx, s, env)
		if err != nil || id == 0 {
			return err
		}
		known.id = id
		d.remember(env.Name, id)
	}
	state := deploymentState(env)
	if now := state + ": " + string(env.Outcome); known.posted != now {
		if err := d.post(ctx, known.id, s, env, state); err != nil {
			return err
		}
		known.posted = now
	}
	if state == "success" && !known.retired {
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

func deploymentState(env *Environment) string {
	switch env.Outcome {
	case deploy.Promoted, deploy.Unchanged:
		return "success"
	case deploy.Failed, deploy.Reverted:
		return "failure"
	case deploy.Unknown:
		return "error"
	}
	return "in_progress" // under way, or held until a person decides
}

// payload is what a deployment carries, for whoever reads it later.
type payload struct {
	Run      string `json:"run"`
	Version  string `json:"version,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Revision string `json:"revision,omitempty"`
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

// findOrCreate looks for the deployment first, each time: an attempt that
// GitHub answered with 5xx may have been done after all. What another run began
// and this one only ends has a deployment already, or none: the id is 0.
func (d *Deployments) findOrCreate(ctx context.Context, s *Story, env *Environment) (id int64, err error) {
	if s.Run.Commit == "" && s.Run.Ref == "" && env.began() {
		return 0, fmt.Errorf("create the deployment to %s: GitHub wants a commit, and none is known", env.Name)
	}
	err = d.github.Do(ctx, "create the deployment to "+env.Name, deploymentsPermission, func(ctx context.Context) error {
		if id, err = d.find(ctx, s, env); id != 0 || err != nil || !env.began() {
			return err
		}
		created, _, err := d.github.API.Repositories.CreateDeployment(ctx, d.github.Owner, d.github.Name, d.request(s, env))
		id = created.GetID()
		return err
	})
	return id, err
}

// maxFound bounds how many deployments are asked for their state when one is
// looked for.
const maxFound = 3

// find is the deployment of this run, or one of the same rollout that another
// run has left in progress; 0 where there is none. Whoever reports here holds
// the environment: nobody else is at work on it.
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
		if state, err := d.lastState(ctx, id); err != nil || state == "in_progress" {
			return id, err
		}
	}
	return 0, nil
}

// lastState is the last status of a deployment; empty before the first.
func (d *Deployments) lastState(ctx context.Context, id int64) (string, error) {
	statuses, _, err := d.github.API.Repositories.ListDeploymentStatuses(ctx, d.github.Owner, d.github.Name, id, &github.ListOptions{PerPage: 1})
	if err != nil || len(statuses) == 0 {
		return "", err
	}
	return statuses[0].GetState(), nil
}

func (d *Deployments) request(s *Story, env *Environment) *github.DeploymentRequest {
	p := payload{Run: s.Run.ID}
	if c := env.Candidate; c != nil {
		p.Version, p.Digest, p.Revision = c.Version, c.Digest, c.Revision
	}
	return &github.DeploymentRequest{
		Ref:                   github.String(orElse(s.Run.Commit, s.Run.Ref)),
		Task:                  github.String("deploy"),
		AutoMerge:             github.Bool(false),
		RequiredContexts:      &[]string{},
		Payload:               p,
		Environment:           github.String(env.Name),
		Description:           github.String(shorten(oneLine(s.Run.App+" "+p.Version, 140), 140)),
		TransientEnvironment:  github.Bool(d.o.Transient),
		ProductionEnvironment: github.Bool(env.Name == d.o.Production),
	}
}

func (d *Deployments) post(ctx context.Context, id int64, s *Story, env *Environment, state string) error {
	request := &github.DeploymentStatusRequest{
		State:        github.String(state),
		Description:  github.String(oneLine(description(env), 140)),
		AutoInactive: github.Bool(false), // see retire
	}
	if u := webAddress(s.Run.URL); u != "" {
		request.LogURL = github.String(u)
	}
	if u := webAddress(env.URL); u != "" {
		request.EnvironmentURL = github.String(u)
	}
	return d.status(ctx, id, fmt.Sprintf("set the deployment to %s to %s", env.Name, state), request)
}

func (d *Deployments) status(ctx context.Context, id int64, doing string, request *github.DeploymentStatusRequest) error {
	return d.github.Do(ctx, doing, deploymentsPermission, func(ctx context.Context) error {
		_, _, err := d.github.API.Repositories.CreateDeploymentStatus(ctx, d.github.Owner, d.github.Name, id, request)
		return err
	})
}

func description(env *Environment) string {
	switch {
	case env.Outcome != "":
		return string(env.Outcome) + ": " + env.Reason
	case env.Strategy != "":
		return string(env.Strategy) + " under way"
	}
	return "under way"
}

// maxRetired bounds how many older deployments are looked at in one run.
const maxRetired = 30

// retire makes older deployments to the environment inactive, newest first, up
// to one of ours that is inactive already: those before it were dealt with in
// its time. GitHub's own auto_inactive leaves out production.
func (d *Deployments) retire(ctx context.Context, s *Story, env *Environment, id int64) error {
	why := "replaced by " + orElse(s.Version(), "a newer version")
	return d.retireEach(ctx, env.Name, why, func(old int64) bool { return old < id })
}

// clear makes every deployment to an environment that was removed inactive;
// GitHub shows one that was transient as destroyed.
func (d *Deployments) clear(ctx context.Context, env *Environment, known *entry) error {
	if known.retired {
		return nil
	}
	err := d.retireEach(ctx, env.Name, "removed: "+env.Removed, func(int64) bool { return true })
	known.retired = err == nil
	return err
}

func (d *Deployments) retireEach(ctx context.Context, environment, why string, which func(id int64) bool) error {
	var all []*github.Deployment
	err := d.github.Do(ctx, "list the deployments to "+environment, deploymentsPermission, func(ctx context.Context) (err error) {
		all, _, err = d.github.API.Repositories.ListDeployments(ctx, d.github.Owner, d.github.Name, &github.DeploymentsListOptions{
			Environment: environment, ListOptions: github.ListOptions{PerPage: maxRetired},
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, one := range all {
		if !which(one.GetID()) {
			continue
		}
		done, err := d.retireOne(ctx, one, why)
		if err != nil || done {
			return err
		}
	}
	return nil
}

// retireOne makes one deployment inactive if it was a success, or if a run of
// ours has left it in progress. It reports whether those before it were dealt
// with already.
func (d *Deployments) retireOne(ctx context.Context, old *github.Deployment, why string) (done bool, err error) {
	const doing = "make an older deployment inactive"
	ours := payloadOf(old).Run != ""
	var state string
	err = d.github.Do(ctx, doing, deploymentsPermission, func(ctx context.Context) (err error) {
		state, err = d.lastState(ctx, old.GetID())
		return err
	})
	switch {
	case err != nil:
		return false, err
	case state == "inactive":
		return ours, nil
	case state == "success", ours && state == "in_progress":
	default:
		return false, nil
	}
	return false, d.status(ctx, old.GetID(), doing, &github.DeploymentStatusRequest{
		State: github.String("inactive"), AutoInactive: github.Bool(false), Description: github.String(oneLine(why, 140)),
	})
}
