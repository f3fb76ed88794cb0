package feed

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// trusted is how long a mirror is believed that hears nothing. A connection
	// can be dead without anybody being told; a mirror asks again after that
	// time, and so says what the API server says, or that it is away.
	trusted = 10 * time.Second
	// Idle is after how long a mirror that nobody looks at stops watching.
	Idle = time.Minute
)

// Mirror keeps what a feed tells, so that looking again costs no request. What it
// says is as fresh as a request of its own would be after all that this process
// has written: it asks the cluster itself, once, after each write, and as long as
// nothing is heard. It is not for compare-and-swap.
//
// The zero value with Feed, Changes and Owner is ready.
type Mirror[T runtime.Object] struct {
	Feed Feed
	// Changes counts what this process has done to such objects, or learnt of them
	// elsewhere. When it has grown, what was heard before is not enough.
	Changes func() int64
	// Owner runs what watches, at once, and says to stop by the context.
	Owner func(watch func(context.Context))
	// Trusted is how long it is believed when it hears nothing; zero is 10 s.
	Trusted time.Duration

	mu   sync.Mutex
	live *life[T]
	// refused: the cluster does not let it watch, and is asked each time.
	refused bool
}

// life is a mirror from its first look until nobody has looked for long.
type life[T runtime.Object] struct {
	mirror *Mirror[T]
	stop   context.CancelFunc
	idle   *time.Timer
	// heard is closed when it watches, or cannot.
	heard chan struct{}
	once  sync.Once

	mu    sync.Mutex
	known set[T]
	// watching: what happens is told, as far as can be known.
	watching bool
	// proven is when it was certain last that nothing is missing; zero is that it
	// is not. changes are those that there were then.
	proven  time.Time
	changes int64
	// asked is what to take for proven when the feed's own list comes in.
	asked proof
}

// proof is a moment, with the changes that had been made before it.
type proof struct {
	at      time.Time
	changes int64
}

// Look returns all objects, by name. They must not be changed. An error is that of
// the request that was necessary, or of ctx.
func (m *Mirror[T]) Look(ctx context.Context) ([]T, error) {
	l := m.alive()
	if l == nil {
		return (&life[T]{mirror: m}).prove(ctx)
	}
	select {
	case <-l.heard:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if all, certain := l.certain(); certain {
		return all, nil
	}
	return l.prove(ctx)
}

// alive begins to watch, or goes on for as long again; nil is that it must not.
func (m *Mirror[T]) alive() *life[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refused {
		return nil
	}
	if m.live != nil && m.live.idle.Reset(Idle) {
		return m.live
	}
	l := &life[T]{mirror: m, heard: make(chan struct{})}
	m.live = l
	l.idle = time.AfterFunc(Idle, l.end)
	begun := make(chan struct{})
	m.Owner(func(ctx context.Context) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		l.stop = stop
		close(begun)
		defer l.end()
		l.feed().Follow(ctx, func(n News) {
			if n.Final != nil {
				m.refuse()
			}
			l.take(n)
		})
	})
	<-begun
	return l
}

func (m *Mirror[T]) refuse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = true
}

// end stops watching; what is looked at then begins anew.
func (l *life[T]) end() {
	l.mirror.mu.Lock()
	if l.mirror.live == l {
		l.mirror.live = nil
	}
	l.mirror.mu.Unlock()
	l.idle.Stop()
	l.stop()
	l.tell()
}

func (l *life[T]) tell() { l.once.Do(func() { close(l.heard) }) }

// feed is the mirror's, and says when it lists: what is there then is proven, and
// until then nothing is.
func (l *life[T]) feed() Feed {
	f := l.mirror.Feed
	list := f.List
	f.List = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		now := l.now()
		l.mu.Lock()
		l.asked, l.watching, l.proven = now, false, time.Time{}
		l.mu.Unlock()
		return list(ctx, o)
	}
	return f
}

func (l *life[T]) now() proof { return proof{time.Now(), l.mirror.Changes()} }

// take learns what the feed tells.
func (l *life[T]) take(n News) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n.Final != nil || n.Trouble != nil:
		l.watching, l.proven = false, time.Time{}
	case n.Whole:
		l.known.take(n)
		l.proven, l.changes = l.asked.at, l.asked.changes
		return // it does not watch yet
	default:
		if l.watching = true; l.known.take(n) && !l.proven.IsZero() {
			l.proven = time.Now() // it is heard
		}
	}
	l.tell()
}

// certain are the objects, if nothing can be missing.
func (l *life[T]) certain() ([]T, bool) {
	changes := l.mirror.Changes()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.watching || l.proven.IsZero() || l.changes != changes || time.Since(l.proven) >= cmp.Or(l.mirror.Trusted, trusted) {
		return nil, false
	}
	return l.known.sorted(), true
}

// prove asks the cluster, whose answer counts; if it is what has been heard, then
// that is certain again.
func (l *life[T]) prove(ctx context.Context) ([]T, error) {
	now := l.now()
	told, err := l.mirror.Feed.List(ctx, l.mirror.Feed.Options)
	if err != nil {
		return nil, err
	}
	objects, err := meta.ExtractList(told)
	if err != nil {
		return nil, err
	}
	var all set[T]
	all.take(News{Whole: true, All: objects})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watching && maps.EqualFunc(all.all, l.known.all, same[T]) {
		l.proven, l.changes = now.at, now.changes
	}
	return all.sorted(), nil
}

// same reports whether two are one object in one version.
func same[T runtime.Object](a, b T) bool {
	x, err := meta.Accessor(a)
	y, other := meta.Accessor(b)
	return err == nil && other == nil && x.GetUID() == y.GetUID() && x.GetResourceVersion() == y.GetResourceVersion()
}

// sorted are the objects by name.
func (s *set[T]) sorted() []T {
	all := make([]T, 0, len(s.all))
	for _, name := range slices.Sorted(maps.Keys(s.all)) {
		all = append(all, s.all[name])
	}
	return all
}
