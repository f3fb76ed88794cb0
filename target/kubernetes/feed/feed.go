package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// Pauses between attempts to reach the API server, the first one and the
// longest. They stay short, because what a revision comes to is told that much
// later.
const (
	FirstPause   = 250 * time.Millisecond
	LongestPause = 2 * time.Second
)

// Feed follows some objects: all of them once, and then each that changes. It
// is written here, and not had from client-go, because its informers come back
// to an API server up to half a minute after it does, and neither they nor its
// RetryWatcher tell whom they serve that nothing is heard.
type Feed struct {
	List  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error)
	Watch func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
	// What it follows, for errors, such as "pods".
	What string
	// Options select the objects.
	Options metav1.ListOptions
}

// News is one thing that a feed tells. Without anything in it, it says that the
// cluster is heard again.
type News struct {
	// All are the objects there are, in place of all that was told before;
	// only where Whole is set.
	Whole bool
	All   []runtime.Object
	// Changed or Removed is one object.
	Changed, Removed runtime.Object
	// Trouble is why nothing is heard at present, from now until other news.
	Trouble error
	// Final is an error that does not go away by trying again.
	Final error
}

// Listing forgets which kind of list it is, as List wants it.
func Listing[L runtime.Object](list func(context.Context, metav1.ListOptions) (L, error)) func(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		l, err := list(ctx, o)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
}

// Named selects the one object of a name.
func Named(name string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
}

// Follow tells news until the context ends or an error is final. What happened
// while nothing was heard is told once it is: by the watch from where it broke
// off, or all anew where the server does not remember that far.
func (f Feed) Follow(ctx context.Context, tell func(News)) {
	version, pause := "", FirstPause
	for ctx.Err() == nil {
		began := time.Now()
		next, err := f.once(ctx, version, tell)
		switch {
		case ctx.Err() != nil:
			return
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err):
			tell(News{Final: fmt.Errorf("watch %s: %w", f.What, err)})
			return
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			version = "" // at once: the server answers, and says to begin anew
			continue
		case err == nil:
			err = errEnded
		}
		tell(News{Trouble: fmt.Errorf("watch %s: %w", f.What, err)})
		if version = next; time.Since(began) > LongestPause {
			pause = FirstPause // it worked for a while
		}
		if !Sleep(ctx, max(pause, asked(err))) {
			return
		}
		pause = min(2*pause, LongestPause)
	}
}

// errEnded is trouble for a moment as a rule: servers end watches now and then.
var errEnded = errors.New("the server has ended it")

// asked is how long the server wants to be left alone.
func asked(err error) time.Duration {
	seconds, _ := apierrors.SuggestsClientDelay(err)
	return time.Duration(seconds) * time.Second
}

// Sleep is whether a pause is over, and ctx is not.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// once lists, unless there is a version to go on from, and watches until that
// breaks off. It returns the version up to which all was told.
func (f Feed) once(ctx context.Context, version string, tell func(News)) (string, error) {
	if version == "" {
		all, err := f.List(ctx, f.Options)
		if err != nil {
			return "", err
		}
		objects, err := meta.ExtractList(all)
		if err != nil {
			return "", err
		}
		list, err := meta.ListAccessor(all)
		if err != nil {
			return "", err
		}
		version = list.GetResourceVersion()
		tell(News{Whole: true, All: objects})
		if ctx.Err() != nil {
			return version, ctx.Err() // that was all that somebody wanted to know
		}
	}
	o := f.Options
	o.ResourceVersion, o.AllowWatchBookmarks = version, true
	w, err := f.Watch(ctx, o)
	if err != nil {
		return version, err
	}
	defer w.Stop()
	tell(News{}) // it is heard again
	return f.read(ctx, w, version, tell)
}

// read tells what a watch says until it ends, which they all do after a while.
func (f Feed) read(ctx context.Context, w watch.Interface, version string, tell func(News)) (string, error) {
	for {
		var e watch.Event
		var open bool
		select {
		case <-ctx.Done():
			return version, ctx.Err()
		case e, open = <-w.ResultChan():
		}
		if !open {
			return version, nil
		}
		if e.Type == watch.Error {
			return version, apierrors.FromObject(e.Object)
		}
		object, err := meta.Accessor(e.Object)
		if err != nil {
			return "", errors.Join(err, fmt.Errorf("watch %s: the server sent a %T", f.What, e.Object))
		}
		switch e.Type {
		case watch.Added, watch.Modified:
			tell(News{Changed: e.Object})
		case watch.Deleted:
			tell(News{Removed: e.Object})
		case watch.Bookmark, watch.Error:
		}
		version = object.GetResourceVersion()
	}
}
