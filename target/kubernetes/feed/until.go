package feed

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// deafness is how long Until bears to hear nothing. An API server that is
// replaced is away for less.
const deafness = time.Minute

// Until returns once met says of all objects, by their names, that they are as is
// wanted; it is asked at first, and after each change. An error of met ends it,
// too. Other errors are that the cluster refuses the watch, that nothing was heard
// of it for a minute, or that ctx ended. Its goroutine has ended when it returns.
func Until[T runtime.Object](ctx context.Context, f Feed, met func(all map[string]T) (bool, error)) error {
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		known set[T]
		done  bool
		err   error
		deaf  time.Time
	)
	f.Follow(watched, func(n News) {
		switch {
		case n.Final != nil:
			err = n.Final
		case n.Trouble != nil && deaf.IsZero():
			deaf = time.Now()
		case n.Trouble != nil && time.Since(deaf) > deafness:
			err = fmt.Errorf("nothing was heard for %s: %w", deafness, n.Trouble)
		case n.Trouble == nil:
			deaf = time.Time{}
			if known.take(n) {
				done, err = met(known.all)
			}
		}
		if done || err != nil {
			cancel()
		}
	})
	if done || err != nil {
		return err
	}
	return fmt.Errorf("interrupted while waiting for %s: %w", f.What, context.Cause(ctx))
}

// set is what a feed has told, by name; nothing at all before all is known.
type set[T runtime.Object] struct{ all map[string]T }

// take learns of news, and reports whether they change anything.
func (s *set[T]) take(n News) bool {
	switch {
	case n.Whole:
		s.all = map[string]T{}
		for _, o := range n.All {
			s.put(o)
		}
	case n.Changed != nil:
		s.put(n.Changed)
	case n.Removed != nil:
		delete(s.all, nameOf(n.Removed))
	default:
		return false
	}
	return true
}

func (s *set[T]) put(o runtime.Object) {
	if one, is := o.(T); is {
		s.all[nameOf(o)] = one
	}
}

func nameOf(o runtime.Object) string {
	m, err := meta.Accessor(o)
	if err != nil {
		return ""
	}
	return m.GetName()
}
