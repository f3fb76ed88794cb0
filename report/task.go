package report

import (
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Task is one-off work before or after a deployment.
type Task struct {
	// Name is that of slipway.yaml, or of a hook, such as Job/migrate.
	Name string `json:"name"`
	// When it was done: before or after.
	When deploy.TaskTime `json:"when"`
	// State is how far it has come.
	State State `json:"state"`
	// Detail says why it failed.
	Detail string `json:"detail,omitempty"`
	// Started is when it began.
	Started time.Time `json:"started"`
	// Took is how many seconds it took.
	Took Seconds `json:"took"`
	// Log are the last 100 lines that it wrote, oldest first.
	Log []string `json:"log,omitempty"`
}

// taskLines is how much of a task's log a Story keeps.
const taskLines = 100

// task folds what is told of a task.
func (e *Environment) task(event deploy.Event) {
	if event.Task == nil {
		return
	}
	t := e.lastTask(*event.Task)
	if t == nil || event.Kind == deploy.TaskStarted {
		e.Tasks = kept(e.Tasks, Task{Name: event.Task.Name, When: event.Task.When, State: StateRunning, Started: event.At})
		t = &e.Tasks[len(e.Tasks)-1]
	}
	switch event.Kind {
	case deploy.TaskSaid:
		t.Log = append(t.Log, event.Message)
		t.Log = t.Log[max(0, len(t.Log)-taskLines):]
	case deploy.TaskEnded:
		t.State, t.Took = StatePassed, seconds(event.Took)
		if event.Task.Failed {
			t.State, t.Detail = StateFailed, event.Message
		}
	}
}

// lastTask is the last one of that name; nil where there is none.
func (e *Environment) lastTask(run deploy.TaskRun) *Task {
	for i := len(e.Tasks) - 1; i >= 0; i-- {
		if t := &e.Tasks[i]; t.Name == run.Name && t.When == run.When {
			return t
		}
	}
	return nil
}

func (c *Console) taskStarted(p *page, e deploy.Event) {
	if e.Task == nil {
		return
	}
	p.line("  %s %s", p.dim("▸"), "task "+oneLine(e.Task.Name, 60)+": "+oneLine(e.Message, 300))
}

func (c *Console) taskSaid(p *page, e deploy.Event) { p.quote([]string{e.Message}) }

func (c *Console) taskEnded(p *page, e deploy.Event) {
	if e.Task == nil {
		return
	}
	mark, remark := p.green("✓"), ""
	if e.Task.Failed {
		mark, remark = p.cross(), "failed"
	}
	p.line("  %s %s", mark, columns("task "+oneLine(e.Task.Name, 60), took(e.Took), remark))
}
