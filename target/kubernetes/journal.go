package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// The entries of the ConfigMap beside the workload.
const (
	keyRecord  = "record"
	keyHistory = "history"
	keySignal  = "signal"
	// keyFront is the objects.Front of the version that was brought in last.
	keyFront = "front"
	// keySpec is what a Rollout that others apply was released as.
	keySpec = "rollout"
)

// historyLimit is how many settled records are kept, with the secrets that they
// speak of.
const historyLimit = 10

// readState is the ConfigMap; nil where there is none yet.
func (t *Target) readState(ctx context.Context) (*corev1.ConfigMap, error) {
	m, err := t.kube.CoreV1().ConfigMaps(t.place.Namespace).Get(ctx, t.place.State(), metav1.GetOptions{})
	if absent(err) {
		return nil, nil // none is an answer
	}
	if err != nil {
		return nil, err
	}
	return m, t.mine(m)
}

// readJournal takes record, history and signal from the ConfigMap.
func readJournal(m *corev1.ConfigMap, s *deploy.State) error {
	if m == nil {
		return nil
	}
	for key, into := range map[string]any{keyRecord: &s.Record, keyHistory: &s.History, keySignal: &s.Signal} {
		text, has := m.Data[key]
		if !has {
			continue
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return deploy.Hinted(fmt.Errorf("read %s in the ConfigMap %s/%s: %w", key, m.Namespace, m.Name, err),
				"somebody has changed it by hand: put it right, or remove the entry, which forgets what it said")
		}
	}
	return nil
}

// Write stores the record if its version is the one that is there.
func (t *Target) Write(ctx context.Context, r deploy.Record) error {
	err := t.change(ctx, func(s *deploy.State) error {
		next := r
		next.Version++
		if written(s.Record, next) {
			return nil // by a try whose answer was lost
		}
		if s.Record.Version != r.Version {
			return deploy.ErrConflict
		}
		s.Record = next
		if next.Phase == deploy.PhaseSettled {
			s.History = append(s.History, next)
			s.History = s.History[max(0, len(s.History)-historyLimit):]
		}
		return nil
	})
	if err == nil && r.Phase == deploy.PhaseSettled && t.place.Cluster.Rollout == "" { // a Rollout's secrets are its own
		t.forget(ctx)
	}
	return t.ended(ctx, err, "write the journal of %s", t)
}

// written reports whether a record is the one that was to be written: nobody else
// writes one of this run at this very moment.
func written(there, wanted deploy.Record) bool {
	return there.Version == wanted.Version && there.Owner.Run == wanted.Owner.Run && there.Phase == wanted.Phase &&
		!wanted.At.IsZero() && there.At.Equal(wanted.At)
}

// Signal leaves a word for the run that is at work in the environment.
func (t *Target) Signal(ctx context.Context, signal deploy.Signal) error {
	err := t.change(ctx, func(s *deploy.State) error {
		s.Signal = &signal
		return nil
	})
	return t.ended(ctx, err, "signal the run in %s", t)
}

// change rewrites the ConfigMap by compare-and-swap on its resourceVersion. When
// somebody else was faster, f is asked again about what is there now.
func (t *Target) change(ctx context.Context, f func(*deploy.State) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return contend(ctx, func() error {
		m, err := t.readState(ctx)
		if err != nil {
			return err
		}
		var s deploy.State
		if err := readJournal(m, &s); err != nil {
			return err
		}
		if err := f(&s); err != nil {
			return err
		}
		return t.writeState(ctx, m, s)
	})
}

func (t *Target) writeState(ctx context.Context, m *corev1.ConfigMap, s deploy.State) error {
	api := t.kube.CoreV1().ConfigMaps(t.place.Namespace)
	missing := m == nil
	if missing {
		m = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: t.place.State(), Namespace: t.place.Namespace, Labels: t.place.Labels()}}
	}
	if m.Data == nil {
		m.Data = map[string]string{}
	}
	all := map[string]any{keyRecord: s.Record, keyHistory: s.History, keySignal: s.Signal}
	if t.place.Front != (objects.Front{}) {
		all[keyFront] = t.place.Front
	}
	for key, v := range all {
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		m.Data[key] = string(text)
	}
	if !missing {
		_, err := api.Update(ctx, m, update)
		return err
	}
	_, err := api.Create(ctx, m, creation)
	if absent(err) { // no namespace
		if err := t.account(ctx); err != nil {
			return err
		}
		_, err = api.Create(ctx, m, creation)
	}
	return err
}

// forget removes the secrets that neither the history nor anything that runs
// speaks of. That it cannot does no harm: the next time does it.
func (t *Target) forget(ctx context.Context) {
	if err := t.forgetSecrets(ctx); err != nil {
		t.log.Warn("remove secrets of old revisions", "target", t.String(), "error", err)
	}
}

// spoken is the state by which it is decided what is in use. Of a Rollout the
// journal alone says it: its controller keeps what it may go back to.
func (t *Target) spoken(ctx context.Context) (deploy.State, error) {
	if t.place.Front.Rollout == "" {
		return t.state(ctx)
	}
	var s deploy.State
	if err := t.Remember(ctx, &s); err != nil {
		return s, err
	}
	live := s.Record.Previous
	if s.Record.Outcome == deploy.Promoted {
		live = s.Record.Candidate
	}
	if !live.IsZero() {
		s.Live = &live
	}
	return s, nil
}

func (t *Target) forgetSecrets(ctx context.Context) error {
	// What they hold is not read: of kept manifests it is much.
	api := t.heads.Resource(copied["Secret"]).Namespace(t.place.Namespace)
	list, err := api.List(ctx, metav1.ListOptions{LabelSelector: t.place.Select()})
	if err != nil || len(list.Items) == 0 {
		return err
	}
	s, err := t.spoken(ctx)
	if err != nil {
		return err
	}
	sets := map[string]bool{}
	used := map[string]bool{}
	use := func(r deploy.Revision) {
		for _, secret := range r.Secrets {
			used[t.place.SecretName(secret)] = true
		}
		sets[r.Config.Settings[deploy.SettingManifests]] = true
	}
	for _, r := range append(s.History, s.Record) {
		use(r.Candidate)
		use(r.Previous)
	}
	for _, r := range s.Running {
		use(r.Revision)
	}
	for i := range list.Items {
		secret := &list.Items[i]
		if used[secret.Name] || secret.Annotations[objects.AnnotationSecret] == "" {
			continue
		}
		if err := unless(absent, api.Delete(ctx, secret.Name, metav1.DeleteOptions{})); err != nil {
			return err
		}
	}
	t.prune(ctx, s.Live)
	return t.forgetSets(ctx, sets)
}
