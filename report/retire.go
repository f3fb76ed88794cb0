package report

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
)

const (
	// maxRetired is how many older deployments are listed.
	maxRetired = 30
	// maxRead is how many of them are asked for their state in any case; more
	// only while the run has room for it.
	maxRead = 3
	// settling is the operation that ends what another process of the run left.
	settling = "settle"
)

// history lists the deployments to an environment, newest first.
func (d *Deployments) history(ctx context.Context, environment string) (all []*github.Deployment, err error) {
	err = d.github.Do(ctx, "list the deployments to "+environment, deploymentsPermission, func(ctx context.Context) (err error) {
		all, _, err = d.github.API.Repositories.ListDeployments(ctx, d.github.Owner, d.github.Name, &github.DeploymentsListOptions{
			Environment: environment, ListOptions: github.ListOptions{PerPage: maxRetired},
		})
		return err
	})
	return all, err
}

// Newer says which later run of the same branch has brought its release to an
// environment already, in a sentence; empty where none has. Runs count in the
// order in which they were begun. It may be called from any goroutine.
func (d *Deployments) Newer(ctx context.Context, run deploy.Run, environment string) (string, error) {
	ours := number(run.ID)
	if ours == 0 {
		return "", nil
	}
	all, err := d.history(ctx, environment)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	d.before[environment] = all
	d.mu.Unlock()
	for _, one := range all {
		p := payloadOf(one)
		if p.App != run.App || p.Ref != run.Ref || p.Operation != run.Operation || number(p.Run) <= ours {
			continue
		}
		status, err := d.statusOf(ctx, one.GetID())
		if err != nil {
			return "", err
		}
		if status.GetState() == success {
			return fmt.Sprintf("%s of run %d is live in %s already", oneLine(p.Version, 60), number(p.Run), environment), nil
		}
	}
	return "", nil
}

// number is that of a workflow run in its id with the attempt; zero where it is
// none.
func number(run string) int64 {
	id, _, _ := strings.Cut(run, "-")
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// known are the deployments that Newer has seen, if it has.
func (d *Deployments) known(environment string) ([]*github.Deployment, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, ok := d.before[environment]
	return all, ok
}

// byItself reports whether GitHub makes older deployments inactive by itself as
// this package would: it leaves out production and what is transient, and does
// not know that an environment may hold several apps.
func (d *Deployments) byItself(s *Story, env *Environment) bool {
	_, preview := deploy.PullRequestOf(env.Name)
	all, seen := d.known(env.Name)
	if !seen || preview || env.Name == d.o.Production {
		return false
	}
	for _, one := range all {
		if p := payloadOf(one); p.Production || p.foreign(s) {
			return false
		}
	}
	return true
}

// foreign reports whether it is a deployment of another app.
func (p payload) foreign(s *Story) bool { return p.App != "" && p.App != s.Run.App }

// retire makes older deployments of the app to the environment inactive, newest
// first, up to one of ours that is inactive already: those before it were dealt
// with in its time.
func (d *Deployments) retire(ctx context.Context, s *Story, env *Environment, id int64) error {
	if d.byItself(s, env) {
		return nil
	}
	all, seen := d.known(env.Name)
	if !seen {
		var err error
		if all, err = d.history(ctx, env.Name); err != nil {
			return err
		}
	}
	why := "replaced by " + orElse(s.Version(), "a newer version")
	return d.retireEach(ctx, s, all, why, func(old int64) bool { return old < id })
}

// clear makes every deployment to an environment that was removed inactive, so
// that GitHub shows one that was transient as destroyed, and removes the
// environment of a pull request there.
func (d *Deployments) clear(ctx context.Context, s *Story, env *Environment, known *entry) error {
	if known.retired {
		return nil
	}
	all, err := d.history(ctx, env.Name)
	if err == nil {
		err = d.retireEach(ctx, s, all, "removed: "+env.Removed, func(int64) bool { return true })
	}
	if err != nil {
		return err
	}
	known.retired = true
	return d.removeEnvironment(ctx, env.Name)
}

// removeEnvironment removes the environment of a pull request at GitHub. That
// the token may not is good to know, and no more: nothing runs there.
func (d *Deployments) removeEnvironment(ctx context.Context, name string) error {
	if _, preview := deploy.PullRequestOf(name); !preview || d.keeps {
		return nil
	}
	err := d.github.RemoveEnvironment(ctx, name)
	denied, ok := errors.AsType[*forge.Denied](err)
	if !ok {
		return err
	}
	d.keeps = true
	return &remark{
		kind: deploy.Notice,
		text: fmt.Sprintf("GitHub goes on listing environments of pull requests that are over: this token may not remove them (%d)", denied.Status),
		hint: "a token with administration: write may",
	}
}

func (d *Deployments) retireEach(ctx context.Context, s *Story, all []*github.Deployment, why string, which func(id int64) bool) error {
	read := 0
	for _, one := range all {
		if !which(one.GetID()) || payloadOf(one).foreign(s) {
			continue
		}
		if read++; read > maxRead && s.room(d.github.Calls()) <= s.owed(d.o.Statuses) {
			return nil // the next release goes on with it
		}
		done, err := d.retireOne(ctx, one, why)
		if err != nil || done {
			return err
		}
	}
	return nil
}

// retireOne makes one deployment inactive if it was a success, or if a run of
// ours has left it on its way. It reports whether those before it were dealt
// with already.
func (d *Deployments) retireOne(ctx context.Context, old *github.Deployment, why string) (done bool, err error) {
	ours := payloadOf(old).Run != ""
	status, err := d.statusOf(ctx, old.GetID())
	if err != nil {
		return false, err
	}
	switch state := status.GetState(); {
	case state == inactive:
		return ours && !undeployed(status), nil
	case state == success, ours && (state == inProgress || state == queued):
		return false, d.end(ctx, old.GetID(), why)
	}
	return false, nil
}

// undeployed is an inactive one that never was anything else.
func undeployed(s *github.DeploymentStatus) bool {
	return strings.HasPrefix(s.GetDescription(), notReached) || strings.HasPrefix(s.GetDescription(), leftAside)
}

const retiring = "make an older deployment inactive"

// statusOf is lastStatus as an operation of its own.
func (d *Deployments) statusOf(ctx context.Context, id int64) (last *github.DeploymentStatus, err error) {
	err = d.github.Do(ctx, retiring, deploymentsPermission, func(ctx context.Context) (err error) {
		last, err = d.lastStatus(ctx, id)
		return err
	})
	return last, err
}

// end makes a deployment inactive.
func (d *Deployments) end(ctx context.Context, id int64, why string) error {
	return d.status(ctx, id, retiring, &github.DeploymentStatusRequest{
		State: github.String(inactive), AutoInactive: github.Bool(false), Description: github.String(oneLine(why, 140)),
	})
}

// revive makes the deployment of the version that users are back on a success
// again: it became inactive when the one was deployed that was taken back.
func (d *Deployments) revive(ctx context.Context, env *Environment) error {
	if env.Previous == nil {
		return nil
	}
	all, err := d.history(ctx, env.Name)
	if err != nil {
		return err
	}
	for _, one := range all {
		if payloadOf(one).Revision != env.Previous.Revision {
			continue
		}
		return d.status(ctx, one.GetID(), "make the deployment active that is live again in "+env.Name, &github.DeploymentStatusRequest{
			State: github.String(success), AutoInactive: github.Bool(false),
			Description:    github.String(oneLine("live again: "+candidate(env)+" was taken back", 140)),
			EnvironmentURL: address(env.URL),
		})
	}
	return nil
}

// address is a URL that GitHub takes; nil for others.
func address(u string) *string {
	if u = webAddress(u); u == "" {
		return nil
	}
	return github.String(u)
}

// sweep ends what a killed process of this run has left queued.
func (d *Deployments) sweep(ctx context.Context, s *Story) error {
	if d.denied || s.Run.Commit == "" {
		return nil
	}
	var own []*github.Deployment
	err := d.github.Do(ctx, "list the deployments of the commit", deploymentsPermission, func(ctx context.Context) (err error) {
		own, err = d.listOwn(ctx, s)
		return err
	})
	if err != nil {
		return err
	}
	for _, one := range own {
		status, err := d.statusOf(ctx, one.GetID())
		if err == nil && status.GetState() == queued {
			err = d.end(ctx, one.GetID(), notReached+"the run was ended before")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
