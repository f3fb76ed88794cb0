package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

var _ deploy.Forecaster = (*Target)(nil)

// forecastPatience is for how long one request of a forecast is tried again.
const forecastPatience = 5 * time.Second

// Forecast compares the objects of the candidate with those of the live revision, and
// what all revisions share with what is there, by dry runs of the server.
func (t *Target) Forecast(ctx context.Context, r deploy.Revision) (deploy.Forecast, error) {
	if r.Image.Digest == "" {
		r.ID = unbuilt
	}
	f, err := t.forecast(ctx, r)
	return f, t.ended(ctx, err, "%s", t)
}

func (t *Target) forecast(ctx context.Context, r deploy.Revision) (deploy.Forecast, error) {
	traffic, err := t.front.read(ctx)
	if err != nil {
		return deploy.Forecast{}, err
	}
	o := outlook{Target: t, candidate: r}
	if o.asking, err = t.checking(ctx); err != nil {
		return deploy.Forecast{}, err
	}
	o.asking.Patience = forecastPatience
	if err := o.look(ctx, traffic.Live); err != nil {
		return deploy.Forecast{}, err
	}
	err = errors.Join(o.own(ctx), o.front(ctx), o.shared(ctx))
	return o.forecast(), err
}

// outlook is a forecast in the making.
type outlook struct {
	*Target
	// asking is how objects are looked at.
	asking             apply.Options
	candidate, live    deploy.Revision
	bundle, liveBundle *bundle.Bundle
	renamed            *strings.Replacer
	found              []fate
	removed            []apply.Reference
	unknown, warnings  []string
}

// fate is an object before and after.
type fate struct {
	object        apply.Reference
	before, after *unstructured.Unstructured
	taken         []apply.Held
}

// look finds what is live, and what is called otherwise because of that.
func (o *outlook) look(ctx context.Context, live string) error {
	var err error
	if o.bundle, err = o.Target.bundle(ctx, o.candidate); err != nil {
		return err
	}
	if live != "" {
		d, err := o.deployment(ctx, live)
		if err != nil {
			return err
		}
		if d != nil {
			if o.live, err = objects.RevisionOf(d); err != nil {
				return err
			}
		}
	}
	if !o.live.IsZero() {
		if o.liveBundle, err = o.Target.bundle(ctx, o.live); err != nil {
			return err
		}
	}
	o.renamed = strings.NewReplacer(o.names()...)
	return nil
}

// names are those that the live revision has, each followed by the candidate's for the
// same.
func (o *outlook) names() []string {
	if o.live.IsZero() {
		return nil
	}
	var pairs []string
	for _, was := range o.live.Secrets {
		for _, s := range o.candidate.Secrets {
			if s.Name == was.Name {
				pairs = append(pairs, o.place.SecretName(was), o.place.SecretName(s))
			}
		}
	}
	if o.bundle != nil && o.liveBundle != nil {
		pairs = append(pairs, o.liveBundle.Suffix(), o.bundle.Suffix())
	}
	return append(pairs, o.live.ID, o.candidate.ID)
}

// own are the objects that each revision has of its own.
func (o *outlook) own(ctx context.Context) error {
	made, err := ofRevision(o.place, o.bundle, o.candidate, nil, true)
	if err != nil {
		return err
	}
	if o.bundle == nil {
		made = append(made, o.place.ServiceAccount())
	}
	for _, s := range o.candidate.Secrets {
		if s.Reveal() != "" {
			made = append(made, o.place.Secret(s))
		}
	}
	if o.asking.Unmade && o.place.Cluster.Namespace != "" {
		made = append(made, o.namespace())
	}
	all := make([]*unstructured.Unstructured, len(made))
	for i := range made {
		if all[i], err = plain(made[i]); err != nil {
			return err
		}
	}
	return o.made(ctx, all)
}

// made compares objects that are made with those that the live revision has in their
// place.
func (o *outlook) made(ctx context.Context, all []*unstructured.Unstructured) error {
	foreseen, err := o.applier.ForeseeMade(ctx, all, o.asking)
	pairs := o.names()
	for i := 0; i+1 < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
	}
	then := strings.NewReplacer(pairs...)
	for _, f := range foreseen {
		before := f.Object
		before.Name = then.Replace(before.Name)
		if f.Denied != nil {
			o.deny(f)
			continue
		}
		live, missing := o.applier.Read(ctx, before, o.asking)
		if missing != nil {
			err = errors.Join(err, missing)
			continue
		}
		o.add(fate{object: f.Object, before: live, after: f.After})
	}
	return err
}

func (o *outlook) deny(f apply.Foreseen) {
	o.unknown = append(o.unknown, fmt.Sprintf("%s: %v", f.Object, f.Denied))
}

func (o *outlook) add(f fate) { o.found = append(o.found, f) }

// front are the objects that bring users in, as they are once all users have the
// candidate: what moves users meanwhile is told by the plan.
func (o *outlook) front(ctx context.Context) error {
	to := objects.Traffic{Live: o.candidate.ID}
	if err := o.entry(ctx, to); err != nil || o.place.Cluster.Gateway == nil || o.place.Front.Route != "" {
		return err
	}
	ref := apply.Reference{Group: routes.Group, Version: routes.Version, Kind: objects.RouteKind, Namespace: o.place.Namespace, Name: o.place.RouteName()}
	before, err := o.dynamic.Resource(routes).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if absent(err) {
		after, err := o.place.Route(to)
		o.add(fate{object: ref, after: after})
		return err
	}
	if err != nil {
		return err
	}
	after := before.DeepCopy()
	err = o.place.Redirect(after, to)
	o.add(fate{object: ref, before: before, after: after})
	return err
}

// entry is the Service for callers in the cluster.
func (o *outlook) entry(ctx context.Context, to objects.Traffic) error {
	ref := apply.Reference{Version: "v1", Kind: "Service", Namespace: o.place.Namespace, Name: o.place.EntryName()}
	s, err := o.kube.CoreV1().Services(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if absent(err) {
		if o.place.Front.Service != "" {
			return nil // it is made with the rest of the set
		}
		s, err = o.expectedEntry(o.place, to)
		if err != nil {
			return err
		}
		after, err := plain(s)
		o.add(fate{object: ref, after: after})
		return err
	}
	if err != nil {
		return err
	}
	before, err := plain(s)
	if err != nil {
		return err
	}
	s.Spec.Selector = o.place.Leads(to)
	if err := (entry{o.Target}).ports(s, to); err != nil {
		return err
	}
	after, err := plain(s)
	o.add(fate{object: ref, before: before, after: after})
	return err
}

// shared are the objects of a user's manifests that all revisions share.
func (o *outlook) shared(ctx context.Context) error {
	if o.bundle == nil {
		return nil
	}
	all, err := o.bundle.Applied(o.place, o.candidate, objects.Traffic{Live: o.candidate.ID}, nil)
	if err != nil {
		return err
	}
	foreseen, warnings, err := o.applier.Foresee(ctx, all, o.asking)
	o.warnings = warnings
	for _, f := range foreseen {
		if f.Denied != nil {
			o.deny(f)
			continue
		}
		o.add(fate{object: f.Object, before: f.Before, after: f.After, taken: f.Taken})
	}
	pruned, missing := o.applier.ForeseePruned(ctx, all, o.asking)
	o.removed = pruned.Removed
	return errors.Join(ofOthers(err), missing)
}

// forecast is what was found, in the words of all targets.
func (o *outlook) forecast() deploy.Forecast {
	f := deploy.Forecast{Unknown: o.unknown, Warnings: o.warnings, Objects: []deploy.ObjectForecast{}}
	byName := map[string]*deploy.ObjectForecast{}
	for _, found := range o.withoutOriginals() {
		told := o.told(found)
		if before := byName[told.Object]; before != nil {
			before.Fields = append(before.Fields, told.Fields...) // two parts of one object
			before.Taken = append(before.Taken, told.Taken...)
			continue
		}
		byName[told.Object] = &told
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		told := *byName[name]
		if told.Fate == deploy.FateChanged && len(told.Fields) == 0 && len(told.Taken) == 0 {
			f.Unchanged++
			continue
		}
		slices.SortFunc(told.Fields, func(a, b deploy.FieldForecast) int { return cmp.Compare(a.Field, b.Field) })
		told.Fields = slices.Compact(told.Fields)
		f.Objects = append(f.Objects, told)
	}
	for _, r := range o.removed {
		f.Objects = append(f.Objects, deploy.ObjectForecast{Object: r.String(), Fate: deploy.FateRemoved})
	}
	slices.SortStableFunc(f.Objects, func(a, b deploy.ObjectForecast) int { return cmp.Compare(a.Object, b.Object) })
	return f
}

// withoutOriginals leaves out what a revision has a copy of, so that a change is told
// once: the copy counts where the live revision has one, too, for that is what its
// pods read.
func (o *outlook) withoutOriginals() []fate {
	if o.bundle == nil {
		return o.found
	}
	compared := map[string]bool{} // originals whose copies are compared
	for _, f := range o.found {
		if original, is := o.original(f.object); is && f.before != nil {
			compared[original.String()] = true
		}
	}
	var all []fate
	for _, f := range o.found {
		original, copied := o.original(f.object)
		switch {
		case copied && f.before == nil, !copied && compared[f.object.String()]:
			continue
		case copied:
			f.object = original
		}
		all = append(all, f)
	}
	return all
}

// original is what an object of the candidate is a copy of; false for others.
func (o *outlook) original(r apply.Reference) (apply.Reference, bool) {
	name, copied := strings.CutSuffix(r.Name, o.bundle.Suffix())
	r.Name = name
	return r, copied
}

func (o *outlook) told(f fate) deploy.ObjectForecast {
	told := deploy.ObjectForecast{Object: o.display(f.object), Fate: deploy.FateChanged}
	for _, h := range f.taken {
		told.Taken = append(told.Taken, h.String())
	}
	if f.before == nil {
		told.Fate = deploy.FateMade
		return told
	}
	told.Fields = apply.Changes(f.object, o.tidy(f.before), o.tidy(f.after))
	return told
}

// display is an object's name; of a revision whose ID is not known yet, without it.
func (o *outlook) display(r apply.Reference) string {
	return strings.Replace(r.String(), unbuilt, "…", 1)
}

// marks are the names by which a gateway tells which split it has in force.
var marks = regexp.MustCompile(`[a-z0-9-]+` + regexp.QuoteMeta(objects.MarkDomain))

// tidy is an object without what follows from which revision it is of, and what only
// the cluster or Slipway itself keeps in it.
func (o *outlook) tidy(object *unstructured.Unstructured) *unstructured.Unstructured {
	text, err := json.Marshal(object.Object)
	if err != nil {
		return object // nothing that came as JSON
	}
	tidied := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(marks.ReplaceAllString(o.renamed.Replace(string(text)), "mark")), &tidied.Object); err != nil {
		return object
	}
	for _, at := range [][]string{{"metadata"}, {"spec", "template", "metadata"}} {
		unkept(tidied.Object, append(at, "labels"))
		unkept(tidied.Object, append(at, "annotations"))
	}
	if object.GetKind() == "Service" {
		unstructured.RemoveNestedField(tidied.Object, "spec", "clusterIP")
		unstructured.RemoveNestedField(tidied.Object, "spec", "clusterIPs")
	}
	return tidied
}

// unkept takes out labels or annotations that change with each version by themselves.
func unkept(object map[string]any, at []string) {
	set, found, err := unstructured.NestedMap(object, at...)
	if err != nil || !found {
		return
	}
	for name := range set {
		ours := strings.HasPrefix(name, "slipway.dev/") || name == apply.OwnerLabel || name == objects.LabelVersion
		if ours || strings.HasPrefix(name, "deployment.kubernetes.io/") || strings.HasPrefix(name, "kubectl.kubernetes.io/") {
			delete(set, name)
		}
	}
	if len(set) == 0 {
		unstructured.RemoveNestedField(object, at...)
		return
	}
	if err := unstructured.SetNestedMap(object, set, at...); err != nil {
		return // it was one
	}
}
