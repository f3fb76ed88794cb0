package kubernetes

import (
	"context"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// farewell is what a chart wants done when its environment is removed.
type farewell struct {
	*Target
	revision deploy.Revision
	// set is nil where nothing is to be done.
	set *bundle.Bundle
}

// farewell is that of the revision that is live, or was so last: a removal that was
// interrupted may have removed it. A set that nobody has any more holds nothing up.
func (t *Target) farewell(ctx context.Context) (farewell, error) {
	f := farewell{Target: t}
	if t.place.Cluster.Manifests == nil {
		return f, nil
	}
	s, err := t.state(ctx)
	if absent(err) {
		return f, nil // the namespace is gone
	}
	if err != nil {
		return f, err
	}
	for _, record := range slices.Backward(s.History) {
		if record.Outcome == deploy.Promoted {
			f.revision = record.Candidate
			break
		}
	}
	if s.Live != nil {
		f.revision = *s.Live
	}
	if f.set, err = t.hooked(ctx, f.revision); err != nil {
		t.log.Warn("look for hooks", "revision", f.revision.String(), "error", err)
	}
	return f, nil
}

// silent reports whether nothing is to be done at an event.
func (f farewell) silent(event string) bool { return f.set == nil || len(f.set.Hooks(event)) == 0 }

// say runs the hooks of an event. The first that fails ends the removal.
func (f farewell) say(ctx context.Context, event string) error {
	if f.silent(event) {
		return nil
	}
	for _, task := range f.hooksAt(f.set, event) {
		f.log.Info("hook", "event", event, "name", task.Name, "target", f.String())
		err := f.runHook(ctx, f.revision, task, func(line string) { f.log.Info("hook", "name", task.Name, "said", line) })
		if err != nil {
			return deploy.Hinted(err, "mend the chart, or leave its hooks out: target: {kubernetes: {hooks: false}}")
		}
	}
	return nil
}

// endTasks removes the Jobs of all revisions, where there may be any.
func (f farewell) endTasks(ctx context.Context) error {
	if f.tasks.IsZero() && (f.set == nil || !f.set.HasWork()) {
		return nil
	}
	return pods.EndJobs(ctx, f.kube, f.place.Namespace, f.place.Select()+","+objects.LabelTaskOf)
}
