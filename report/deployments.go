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
// success, older deployments to the same environment become inactive. A run
// that is started again, or settled, goes on with the deployment that it finds.
type Deployments struct {
	github *GitHub
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
	id     int64
	posted string
	// retired: older deployments were made inactive.
	retired bool
}

var _ Slow = (*Deployments)(nil)

// NewDeployments makes a Deployments reporter.
func NewDeployments(g *GitHub, o DeploymentsOptions) *Deployments {
	return &Deployments{github: g, o: o, entries: map[string]*entry{}, ids: map[string]int64{}}
}

// String names it.
func (d *Deployments) String() string { return "GitHub deployments" }

// Slow marks it.
func (d *Deployments) Slow() {}

// IDs are the deployments that were made, by environment. They are complete
// after Hub.Close.
func (d *Deployments) IDs() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.ids)
}

// Report brings GitHub up to date with an event.
func (d *Deployments) Report(ctx context.Context, e deploy.Event) error {
	d.timeline.Add(e)
	if e.Kind != deploy.RolloutStarted && e.Kind != deploy.Reverting && e.Kind != deploy.RolloutEnded {
		return nil
	}
	return d.sync(ctx, e.Environment)
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
	if env == nil || !d.concerns(env) {
		return nil
	}
	err := d.bring(ctx, &story, env)
	if denied := (*Denied)(nil); errors.As(err, &denied) {
		d.denied = true
	}
	return err
}

// concerns leaves out what brought nothing anywhere: dry runs, what was live
// already, and what ended before it began.
func (d *Deployments) concerns(env *Environment) bool {
	return env.Candidate != nil || env.Revert != nil
}

func (d *Deployments) bring(ctx context.Context, s *Story, env *Environment) error {
	known := d.entries[env.Name]
	if known == nil {
		known = &entry{}
		d.entries[env.Name] = known
	}
	if known.id == 0 {
		id, err := d.findOrCreate(ctx, s, env)
		if err != nil {
			return err
		}
		known.id = id
		d.remember(env.Name, id)
	}
	if state := deploymentState(env); known.posted != state {
		if err := d.post(ctx, known.id, s, env, state); err != nil {
			return err
		}
		known.posted = state
	}
	if known.posted == "success" && !known.retired {
		known.retired = true
		return d.retire(ctx, s, env, known.id)
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

// findOrCreate looks for a deployment of the same run first, each time: an
// attempt that GitHub answered with 5xx may have been done after all.
func (d *Deployments) findOrCreate(ctx context.Context, s *Story, env *Environment) (id int64, err error) {
	err = d.github.do(ctx, "create the deployment to "+env.Name, deploymentsPermission, func(ctx context.Context) error {
		if id, err = d.find(ctx, s, env); id != 0 || err != nil {
			return err
		}
		created, _, err := d.github.api.Repositories.CreateDeployment(ctx, d.github.owner, d.github.name, d.request(s, env))
		id = created.GetID()
		return err
	})
	return id, err
}

func (d *Deployments) find(ctx context.Context, s *Story, env *Environment) (int64, error) {
	all, _, err := d.github.api.Repositories.ListDeployments(ctx, d.github.owner, d.github.name, &github.DeploymentsListOptions{
		SHA: s.Run.Commit, Environment: env.Name, ListOptions: github.ListOptions{PerPage: 20},
	})
	if err != nil {
		return 0, err
	}
	for _, candidate := range all {
		var p payload
		if json.Unmarshal(candidate.Payload, &p) == nil && p.Run != "" && p.Run == s.Run.ID {
			return candidate.GetID(), nil
		}
	}
	return 0, nil
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
		AutoInactive: github.Bool(false), // it would leave out production; see retire
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
	return d.github.do(ctx, doing, deploymentsPermission, func(ctx context.Context) error {
		_, _, err := d.github.api.Repositories.CreateDeploymentStatus(ctx, d.github.owner, d.github.name, id, request)
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

// maxRetired bounds how many older deployments are made inactive in one run.
const maxRetired = 5

// retire makes older deployments to the environment inactive, newest first, up
// to one that is inactive already: those before it were dealt with in its time.
func (d *Deployments) retire(ctx context.Context, s *Story, env *Environment, id int64) error {
	const doing = "make older deployments inactive"
	var older []*github.Deployment
	err := d.github.do(ctx, doing, deploymentsPermission, func(ctx context.Context) (err error) {
		older, _, err = d.github.api.Repositories.ListDeployments(ctx, d.github.owner, d.github.name, &github.DeploymentsListOptions{
			Environment: env.Name, ListOptions: github.ListOptions{PerPage: 10},
		})
		return err
	})
	if err != nil {
		return err
	}
	left := maxRetired
	for _, old := range older {
		if old.GetID() >= id || left == 0 {
			continue
		}
		left--
		state, err := d.state(ctx, old.GetID())
		if err != nil || state == "inactive" {
			return err
		}
		if state == "failure" || state == "error" {
			continue
		}
		request := &github.DeploymentStatusRequest{State: github.String("inactive"), Description: github.String(
			oneLine("replaced by "+orElse(s.Version(), "a newer version"), 140))}
		if err := d.status(ctx, old.GetID(), doing, request); err != nil {
			return err
		}
	}
	return nil
}

// state is the last status of a deployment; empty before the first.
func (d *Deployments) state(ctx context.Context, id int64) (state string, err error) {
	err = d.github.do(ctx, "read an older deployment", deploymentsPermission, func(ctx context.Context) error {
		statuses, _, err := d.github.api.Repositories.ListDeploymentStatuses(ctx, d.github.owner, d.github.name, id, &github.ListOptions{PerPage: 1})
		if len(statuses) > 0 {
			state = statuses[0].GetState()
		}
		return err
	})
	return state, err
}
