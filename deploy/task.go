package deploy

import (
	"context"
	"time"
)

// Task is one-off work with a revision's image, such as a migration.
type Task struct {
	// Name is a DNS label of 30 characters at most, unlike that of any other task
	// of the environment.
	Name string `json:"name"`
	// Run is the command with its arguments, in place of the image's own.
	Run []string `json:"run"`
	// Env goes over the revision's own variables. It names none of its secrets.
	Env map[string]string `json:"env,omitempty"`
	// Timeout bounds it, its image's pull included.
	Timeout time.Duration `json:"timeout"`
	// Hook is at which of its events a revision brings it by itself, such as
	// "pre-upgrade": what it runs is then the revision's own, and Name is such as
	// "Job/migrate". Empty for tasks of slipway.yaml.
	Hook string `json:"hook,omitempty"`
}

// DefaultTaskTimeout is used where slipway.yaml is silent.
const DefaultTaskTimeout = 5 * time.Minute

// Tasks are the one-off work around a deployment. Those of a list are done one
// after the other, in their order, and each once: none is tried again.
type Tasks struct {
	// Before are done before the candidate starts and any user is moved. The
	// first that fails ends the deployment.
	Before []Task `json:"before,omitempty"`
	// After are done when the candidate has all users for good, and the old
	// version is gone. One that fails takes nothing back.
	After []Task `json:"after,omitempty"`
}

// IsZero reports whether there are none.
func (t Tasks) IsZero() bool { return len(t.Before) == 0 && len(t.After) == 0 }

// Runner is a Target that can do one-off work.
type Runner interface {
	// Run does the task with the revision's image, configuration and secrets,
	// and tells each line that it writes, oldest first, one at a time, secrets
	// hidden. Nothing of it is a replica of the revision, and no user gets to it.
	//
	// It may be repeated: while the environment's Stop of this revision has not
	// been called, the same task that is at work is waited for, and one that has
	// been done is not done again; a first line says so. One that has failed is
	// done anew.
	//
	// A task that fails is a *Doomed that names it. One that takes longer than
	// its Timeout, or than ctx, is ended. Stop of the revision ends what is at
	// work of its tasks, and forgets the others.
	Run(ctx context.Context, r Revision, task Task, log func(line string)) error
}

// Occasion is what a deployment is to an environment.
type Occasion string

// The occasions.
const (
	// OccasionInstall is that nothing is live.
	OccasionInstall Occasion = "install"
	OccasionUpgrade Occasion = "upgrade"
	// OccasionRollback is that somebody brings back what was live before. A
	// deployment that is taken back is none.
	OccasionRollback Occasion = "rollback"
)

// Hooked is a Runner whose revisions bring one-off work of their own, as Helm
// charts do with their hooks.
type Hooked interface {
	Runner
	// Hooks are what Run is to do of a revision's own on an occasion, around the
	// deployment. It changes nothing.
	Hooks(ctx context.Context, r Revision, o Occasion) (Tasks, error)
}

// TaskTime says when a task is done.
type TaskTime string

// The times of a Task.
const (
	TaskBefore TaskTime = "before"
	TaskAfter  TaskTime = "after"
)

// TaskRun is a task as events tell it.
type TaskRun struct {
	Name string   `json:"name"`
	When TaskTime `json:"when"`
	// Failed: TaskEnded, where it has.
	Failed bool `json:"failed,omitempty"`
}
