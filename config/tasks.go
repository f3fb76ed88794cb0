package config

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/slipway-ci/slipway/deploy"
)

// taskLabel becomes a part of names in a cluster.
type taskLabel string

var taskForm = newForm(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`,
	"a name of 1 to 30 characters a-z, 0-9 and -, with no - at either end", "choose a name such as migrate")

func (v *taskLabel) read(r *reader, p place) bool { return readText(r, p, v, taskForm) }

func (taskLabel) JSONSchema() *jsonschema.Schema { return taskForm.schema() }

// Examples of keys that are called alike elsewhere.
var (
	tasksExamples = map[string]string{
		"before": "before: [{name: migrate, run: [/hello, migrate]}]", "after": "after: [{name: reindex, run: [/hello, reindex]}]",
	}
	taskExamples = map[string]string{"name": "name: migrate", "run": "run: [/hello, migrate]", "timeout": "timeout: 5m"}
)

func (v *tasks) read(r *reader, p place) bool {
	return r.fieldsLike(reflect.ValueOf(v).Elem(), p, nil, tasksExamples)
}

func (t *task) read(r *reader, p place) bool {
	return r.fieldsLike(reflect.ValueOf(t).Elem(), p, nil, taskExamples)
}

// JSONSchemaExtend asks for a program.
func (task) JSONSchemaExtend(s *jsonschema.Schema) { program(s, "run") }

// tasks are those of an environment: each of its lists in place of the app's.
func (r *reader) tasks(base *tasks, e *named, secrets []string) deploy.Tasks {
	before, after := firstGiven(e.Tasks.Before, base.Before), firstGiven(e.Tasks.After, base.After)
	lines := map[taskLabel]int{}
	return deploy.Tasks{Before: r.taskList(before, secrets, lines), After: r.taskList(after, secrets, lines)}
}

// taskList makes the tasks of one list. Their names are unlike those that were
// met already, in the lines.
func (r *reader) taskList(list *[]task, secrets []string, lines map[taskLabel]int) []deploy.Task {
	if list == nil {
		return nil
	}
	var all []deploy.Task
	for i := range *list {
		t := &(*list)[i]
		if line, twice := lines[t.Name]; twice && t.Name != "" {
			r.add(r.at(&t.Name).mark(), Error{
				Message: fmt.Sprintf("name: the task in line %d is called %s, too", line, quote(string(t.Name))),
				Hint:    "give each task before and after a deployment a name of its own",
			})
		} else if at := r.at(&t.Name); at.value != nil {
			lines[t.Name] = at.mark().line
		}
		if r.good(&t.Run) {
			r.program(&t.Run, t.Run)
		}
		all = append(all, t.compile(r, secrets))
	}
	return all
}

func (t *task) compile(r *reader, secrets []string) deploy.Task {
	out := deploy.Task{Name: string(t.Name), Timeout: time.Duration(or(t.Timeout, limit(deploy.DefaultTaskTimeout)))}
	for _, a := range t.Run {
		out.Run = append(out.Run, string(a))
	}
	for _, v := range t.Env {
		if slices.Contains(secrets, v.name) {
			r.add(v.place.keyMark(), Error{
				Message: fmt.Sprintf("%s is a secret of the environment, and a variable of the task %s", v.name, quote(string(t.Name))),
				Hint:    "remove it from env: the task is given the secret as the app is",
			})
		}
		if out.Env == nil {
			out.Env = map[string]string{}
		}
		out.Env[v.name] = v.value
	}
	return out
}
