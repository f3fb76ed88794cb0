package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Apply brings the objects into the cluster. A *Conflict says which fields
// others own, an *Owned that an object belongs to another owner; after either,
// and after everything else that the server says to a dry run of the set,
// nothing was changed. An error later on comes with the Result so far, and
// Apply may be repeated.
func (c *Client) Apply(ctx context.Context, objects []*unstructured.Unstructured, o Options) (Result, error) {
	run, err := c.prepare(ctx, objects, o)
	if err != nil {
		return Result{}, err
	}
	return run.act(ctx)
}

// prepare has everything asked that can be asked without a change.
func (c *Client) prepare(ctx context.Context, objects []*unstructured.Unstructured, o Options) (*run, error) {
	run, err := c.arrange(ctx, objects, o)
	if err != nil {
		return nil, err
	}
	return run, conflicts(run.each(ctx, run.objects, run.askOne))
}

// arrange is an Apply of which no object was asked about yet.
func (c *Client) arrange(ctx context.Context, objects []*unstructured.Unstructured, o Options) (*run, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	objects, err := c.Brought(ctx, objects, o)
	if err != nil {
		return nil, err
	}
	run := &run{
		client: c, options: o, places: c.placesOf(objects), began: time.Now(),
		asked: map[Reference]answer{}, uids: map[Reference]types.UID{},
	}
	if run.objects, err = run.places.settle(ctx, objects, o); err != nil {
		return nil, err
	}
	if err := run.confined(); err != nil {
		return nil, err
	}
	if o.Returning {
		run.objects = slices.DeleteFunc(run.objects, oneOff)
	}
	if run.inventory, err = c.readInventory(ctx, o); err != nil {
		return nil, err
	}
	return run, nil
}

// run is one Apply under way.
type run struct {
	client    *Client
	options   Options
	places    *places
	inventory inventory
	objects   []*unstructured.Unstructured
	began     time.Time

	mu     sync.Mutex
	asked  map[Reference]answer
	uids   map[Reference]types.UID
	result Result
}

// answer is what the server said to a dry run.
type answer struct {
	// version is the object's resourceVersion, empty if it is not there yet.
	version string
	// force is that fields of it are to be taken.
	force bool
	// there is that it was there before, without being in the inventory.
	there bool
	// obstacles are what others have in the way of it. Where there are any, live is the
	// object that they were seen in, and cleared is what it would be without them.
	obstacles     []obstacle
	live, cleared *unstructured.Unstructured
	// remakes is the UID of a Job to be removed and made anew; empty for none.
	remakes types.UID
	// stays is that the object is let be, see Options.Returning.
	stays bool
}

func (r *run) each(ctx context.Context, objects []*unstructured.Unstructured, do func(context.Context, *unstructured.Unstructured) error) []error {
	return each(ctx, r.options.parallel(), objects, do)
}

// each calls a function for all items, several at once, and gives all errors in
// the order of the items.
func each[T any](ctx context.Context, parallel int, items []T, do func(context.Context, T) error) []error {
	errs := make([]error, len(items))
	var all errgroup.Group
	all.SetLimit(parallel)
	for i, item := range items {
		all.Go(func() error {
			errs[i] = do(ctx, item)
			return nil
		})
	}
	_ = all.Wait() // they give none
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// askOne has the server check an object, without a change. What needs a namespace or
// a definition of the same set is checked when it is applied.
func (r *run) askOne(ctx context.Context, o *unstructured.Unstructured) error {
	ref := ReferenceOf(o)
	if err := r.foreign(ctx, o); err != nil {
		return err
	}
	got, created, err := r.try(ctx, o)
	var a answer
	switch {
	case len(conflictCauses(err)) > 0, len(collisions(err)) > 0:
		if got, a, err = r.contest(ctx, o, err); r.stays(err) {
			r.letBe(ref, err)
			return nil
		}
		if err != nil {
			return err
		}
	case apierrors.IsInvalid(err) && oneOff(o):
		if a.remakes, err = r.remade(ctx, o, err); err == nil {
			r.note(func() { r.asked[ref] = a })
		}
		return err
	case r.stays(err):
		r.letBe(ref, fmt.Errorf("%s: %w", ref, told(err)))
		return nil
	case r.comesLater(o, err) || undryable(err):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", ref, told(err))
	}
	if got.GetDeletionTimestamp() != nil {
		return deploy.Hinted(fmt.Errorf("%s is being removed since %s", ref, got.GetDeletionTimestamp().UTC().Format(time.RFC3339)),
			"wait until it is gone; if it stays, its finalizers say who has not finished: %s", strings.Join(got.GetFinalizers(), ", "))
	}
	if !created {
		a.version = got.GetResourceVersion()
		if a.there, err = r.mine(ctx, o, got); err != nil {
			return err
		}
	}
	r.note(func() { r.asked[ref] = a })
	return nil
}

// try is a dry run of an object as it is, in which what an autoscaler has chosen stays.
func (r *run) try(ctx context.Context, o *unstructured.Unstructured) (got *unstructured.Unstructured, created bool, err error) {
	for range tries {
		got, created, err = r.client.patch(ctx, r.places.at(o), o, patchOptions{dry: true}, r)
		if again, failed := r.asScaled(ctx, o, err); failed != nil {
			return nil, false, failed
		} else if !again {
			break
		}
	}
	return got, created, err
}

// tries bounds how often something is begun anew because somebody has written to an object
// meanwhile: who does so all the time wins.
const tries = 5

// contest is contested for an object that may be written to meanwhile.
func (r *run) contest(ctx context.Context, o *unstructured.Unstructured, refused error) (got *unstructured.Unstructured, a answer, err error) {
	for range tries {
		if got, a, err = r.contested(ctx, o, refused); !errors.Is(err, errMoved) {
			break
		}
	}
	return got, a, err
}

// contested is called when others own fields of an object, or have something in its way.
// What other parts of Slipway wrote is Slipway's; the rest is taken by force, or is a
// *Conflict. It gives the object as it was.
func (r *run) contested(ctx context.Context, o *unstructured.Unstructured, refused error) (*unstructured.Unstructured, answer, error) {
	ref, causes := ReferenceOf(o), conflictCauses(refused)
	a := answer{force: len(causes) > 0}
	live, err := r.client.live(ctx, r.places.at(o), ref, r.options)
	switch {
	case err != nil:
		return nil, a, err
	case live == nil && a.force:
		return nil, a, fmt.Errorf("%s was removed while it was applied: %w", ref, refused)
	case live == nil:
		return nil, a, fmt.Errorf("%s: %w", ref, told(refused))
	}
	if a.force {
		// What is in the way is told only to who is refused for nothing else.
		_, _, refused = r.client.patch(ctx, r.places.at(o), o, patchOptions{dry: true, force: true}, r)
	}
	if a.obstacles, a.cleared, err = r.obstacles(ctx, o, live, refused); err != nil && (!a.force || r.options.Force) {
		return nil, a, err
	}
	taken := slices.DeleteFunc(append(holders(ref, live, causes), held(a.obstacles)...), func(h Held) bool {
		return h.Manager == Manager || r.options.Yield != nil && r.options.Yield(h)
	})
	if len(taken) > 0 && !r.options.Force {
		return nil, a, &Conflict{Fields: taken}
	}
	if len(a.obstacles) > 0 {
		a.live = live
	}
	r.note(func() { r.result.Taken = append(r.result.Taken, taken...) })
	return live, a, nil
}

// obstacles are what an object was refused for, and what the live one would be without
// them. If they are not the reason, it gives that.
func (r *run) obstacles(ctx context.Context, o, live *unstructured.Unstructured, refused error) (all []obstacle, cleared *unstructured.Unstructured, err error) {
	if refused == nil {
		return nil, nil, nil
	}
	all = obstaclesTo(o, live, collisions(refused))
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("%s: %w", ReferenceOf(o), told(refused))
	}
	cleared, err = r.client.clear(ctx, r.places.at(o), live, all, true, r.options)
	if apierrors.IsInvalid(err) {
		err = refused // there is more to it
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", ReferenceOf(o), told(err))
	}
	return all, cleared, nil
}

// mine refuses what belongs to another owner. It reports whether the object was
// there before Slipway.
func (r *run) mine(ctx context.Context, o, got *unstructured.Unstructured) (bool, error) {
	ref := ReferenceOf(o)
	if known, ok := r.inventory.entry(ref); ok && known.UID == got.GetUID() || shared(ref.Kind) {
		return known.Adopted, nil
	}
	// The dry run has put our own label over another's: look at what is there.
	live, err := r.client.live(ctx, r.places.at(o), ref, r.options)
	if err != nil || live == nil {
		return false, err
	}
	switch owner := live.GetLabels()[OwnerLabel]; owner {
	case r.options.Owner:
		return false, nil
	case "":
		return true, nil
	default:
		return false, owned(ref, owner)
	}
}

// comesLater reports whether an object was refused because the set brings what
// it needs only now.
func (r *run) comesLater(o *unstructured.Unstructured, err error) bool {
	if !apierrors.IsNotFound(err) {
		return false
	}
	if _, ok := r.places.coming[o.GroupVersionKind()]; ok || r.options.Unmade && o.GetNamespace() == r.options.Namespace {
		return true
	}
	return slices.ContainsFunc(r.objects, func(other *unstructured.Unstructured) bool {
		return stageOf(other.GetKind()) == namespaces && other.GetName() == o.GetNamespace()
	})
}

// act applies the set, stage by stage.
func (r *run) act(ctx context.Context) (Result, error) {
	if err := r.client.enlist(ctx, r.entries(), r.options); err != nil {
		return Result{}, err
	}
	first, last := r.divided()
	if err := r.applyStaged(ctx, first); err != nil {
		return r.sorted(), err
	}
	if r.options.BeforeLast != nil {
		if err := r.options.BeforeLast(ctx); err != nil {
			return r.sorted(), err
		}
	}
	if err := r.applyStaged(ctx, last); err != nil {
		return r.sorted(), err
	}
	return r.sorted(), r.client.enlist(ctx, r.entries(), r.options)
}

// divided are the objects without those that come last, and these.
func (r *run) divided() (first, last []*unstructured.Unstructured) {
	for _, o := range r.objects {
		if r.options.Last != nil && r.options.Last(ReferenceOf(o)) {
			last = append(last, o)
			continue
		}
		first = append(first, o)
	}
	return first, last
}

func (r *run) applyStaged(ctx context.Context, all []*unstructured.Unstructured) error {
	for s, objects := range staged(all) {
		if err := conflicts(r.each(ctx, objects, r.applyOne)); err != nil {
			return err
		}
		if err := r.wait(ctx, stage(s), objects); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) sorted() Result {
	for _, list := range [][]Reference{r.result.Created, r.result.Changed, r.result.Unchanged, r.result.Remade} {
		sorted(list)
	}
	slices.SortFunc(r.result.Taken, func(a, b Held) int { return a.Object.compare(b.Object) })
	slices.SortFunc(r.result.Stayed, func(a, b Stayed) int { return a.Object.compare(b.Object) })
	slices.Sort(r.result.Warnings)
	r.result.Warnings = slices.Compact(r.result.Warnings)
	return r.result
}

func (r *run) applyOne(ctx context.Context, o *unstructured.Unstructured) error {
	ref := ReferenceOf(o)
	a, asked := r.answerTo(ref)
	if !asked {
		// It needed what the set has brought by now.
		if err := r.askOne(ctx, o); err != nil {
			return err
		}
		a, _ = r.answerTo(ref)
	}
	if a.stays {
		return nil
	}
	got, created, err := r.write(ctx, o, a, !asked)
	if moved(err, a) {
		return r.applyAnew(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ref, told(err))
	}
	r.note(func() {
		r.uids[ref] = got.GetUID()
		switch {
		case a.remakes != "":
			r.result.Remade = append(r.result.Remade, ref)
		case created:
			r.result.Created = append(r.result.Created, ref)
		case len(a.obstacles) > 0:
			r.result.Changed = append(r.result.Changed, ref)
		case got.GetResourceVersion() == a.version, appliedAt(got).Before(r.began.Add(-2 * time.Second)):
			r.result.Unchanged = append(r.result.Unchanged, ref)
		default:
			r.result.Changed = append(r.result.Changed, ref)
		}
	})
	return nil
}

// appliedAt is when our fields of an object last changed, by the server's clock.
// It tells an object that we changed from one whose status a controller wrote to
// meanwhile.
func appliedAt(o *unstructured.Unstructured) time.Time {
	for _, entry := range o.GetManagedFields() {
		if entry.Manager == Manager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Time != nil {
			return entry.Time.Time
		}
	}
	return time.Now()
}

// moved reports whether an object was written to between the dry run and now, in
// a way that matters.
func moved(err error, a answer) bool {
	return len(conflictCauses(err)) > 0 || len(collisions(err)) > 0 || a.force && apierrors.IsConflict(err) || errors.Is(err, errMoved)
}

// write applies an object that the server was asked about; late is as in patchOptions.
func (r *run) write(ctx context.Context, o *unstructured.Unstructured, a answer, late bool) (got *unstructured.Unstructured, created bool, err error) {
	if a.remakes != "" {
		if err := r.removeOld(ctx, o, a.remakes); err != nil {
			return nil, false, err
		}
	}
	if len(a.obstacles) > 0 {
		cleared, err := r.client.clear(ctx, r.places.at(o), a.live, a.obstacles, false, r.options)
		if err != nil {
			return nil, false, err
		}
		a.version = cleared.GetResourceVersion()
	}
	got, created, err = r.client.patch(ctx, r.places.at(o), o, patchOptions{force: a.force, version: a.version, late: late}, r)
	if err == nil && len(a.obstacles) > 0 {
		err = r.client.disown(ctx, r.places.at(o), got, a.obstacles, r.options)
	}
	return got, created, err
}

// applyAnew asks once more and applies.
func (r *run) applyAnew(ctx context.Context, o *unstructured.Unstructured) error {
	ref := ReferenceOf(o)
	for range tries {
		if err := r.askOne(ctx, o); err != nil {
			return err
		}
		a, _ := r.answerTo(ref)
		got, _, err := r.write(ctx, o, a, false)
		if moved(err, a) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ref, told(err))
		}
		r.note(func() {
			r.uids[ref] = got.GetUID()
			r.result.Changed = append(r.result.Changed, ref)
		})
		return nil
	}
	return fmt.Errorf("%s: somebody else writes to it all the time", ref)
}

func (r *run) answerTo(ref Reference) (answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.asked[ref]
	return a, ok
}

func (r *run) note(what func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what()
}

func (r *run) warn(text string) {
	r.note(func() { r.result.Warnings = append(r.result.Warnings, text) })
}

// patchOptions are those of one server-side apply.
type patchOptions struct {
	dry, force bool
	// late is that the server may need a moment until it knows the object's kind or
	// namespace, which are new.
	late bool
	// version, together with force, is the only resourceVersion that may be
	// written over: what somebody has changed since then is looked at first.
	version string
}

// patch is one server-side apply. It reports whether the object was not there
// before.
func (c *Client) patch(ctx context.Context, at place, o *unstructured.Unstructured, p patchOptions, r *run) (got *unstructured.Unstructured, created bool, err error) {
	if p.force && p.version != "" {
		o = o.DeepCopy()
		o.SetResourceVersion(p.version)
	}
	body, err := json.Marshal(o.Object)
	if err != nil {
		return nil, false, fmt.Errorf("encode: %w", err)
	}
	err = again(ctx, r.options.patience(), func(ctx context.Context) error {
		request := once(c.rest.Patch(types.ApplyPatchType)).AbsPath(at.path(ReferenceOf(o))...).
			Param("fieldManager", Manager).Param("fieldValidation", "Strict").WarningHandler(warnings{r})
		if p.dry {
			request = request.Param("dryRun", "All")
		}
		if p.force {
			request = request.Param("force", "true")
		}
		var code int
		answer, err := request.Body(body).Do(ctx).StatusCode(&code).Get()
		switch {
		case p.force && apierrors.IsConflict(err):
			// Not to be tried again as it is: look first.
			return &final{err}
		case p.late && apierrors.IsNotFound(err):
			return &notYet{err}
		}
		got, _ = answer.(*unstructured.Unstructured)
		created = code == http.StatusCreated
		return err
	})
	if err == nil && got == nil {
		err = errors.New("the server's answer is no object")
	}
	return got, created, err
}

// warnings collects the server's warnings: of a dry run, and of what was not
// asked for by one.
type warnings struct{ run *run }

var _ rest.WarningHandler = warnings{}

// HandleWarningHeader keeps one warning.
func (w warnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" {
		w.run.warn(text)
	}
}

// undryable reports whether the cluster cannot check an object without a change:
// a webhook of it does not support that.
func undryable(err error) bool {
	return apierrors.IsBadRequest(err) && dryRunRefused.MatchString(err.Error())
}

// told adds what to do to errors of the server that call for something.
func told(err error) error {
	switch {
	case apierrors.IsForbidden(err) && accessRefused.MatchString(err.Error()):
		return deploy.Hinted(err, "the account that Slipway uses needs this permission; docs/kubernetes.md has the Role")
	case apierrors.IsForbidden(err):
		return deploy.Hinted(err, "a rule of the cluster (a quota, a limit or a policy) refuses it")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), mistyped.MatchString(err.Error()):
		return deploy.Hinted(brief(err), "the manifest is at fault; a field that cannot be changed wants the object deleted first, or under a new name")
	case apierrors.IsNotFound(err):
		return deploy.Hinted(err, "a namespace must be there before, or be in the same set")
	}
	return err
}
