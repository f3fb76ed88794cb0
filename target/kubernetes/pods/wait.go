package pods

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// Options are how Wait waits.
type Options struct {
	// Revision is whose pods they are: a *deploy.Doomed is about it, and what
	// its secrets reveal is shown nowhere.
	Revision deploy.Revision
	// Hide are further values that are shown nowhere, such as those of Secrets
	// that only the cluster holds.
	Hide []string
	// Workload that makes the pods; the zero value looks at the pods alone.
	Workload Workload
	// Timeout until the pods have to be ready; zero is the revision's
	// StartTimeout, or deploy.DefaultStartTimeout where that is zero, too.
	Timeout time.Duration
	Limits  Limits
	// Log is told when nothing is heard from the cluster; nil is fine.
	Log *slog.Logger
}

func (o Options) timeout() time.Duration {
	switch {
	case o.Timeout > 0:
		return o.Timeout
	case o.Revision.Config.StartTimeout > 0:
		return o.Revision.Config.StartTimeout
	}
	return deploy.DefaultStartTimeout
}

// errTimeUp is the cause of a context that the time-out ended.
var errTimeUp = errors.New("the time to start is over")

// Wait returns nil when as many pods as are wanted are ready, at the workload's
// current generation. It returns a *deploy.Doomed once none of the pods there
// are will ever be ready, or when the time is over. Other errors are that the
// cluster refuses the watch, that the workload is not there, that nothing was
// heard from the cluster when the time was over, or that the context ended.
//
// The selector is one of labels that the pods of this revision alone have.
func Wait(ctx context.Context, client kubernetes.Interface, namespace, selector string, want int, o Options) error {
	return o.wait(ctx, client, namespace, selector, &view{want: want})
}

// wait follows what a view, which is fresh, is about until it is decided.
func (o Options) wait(ctx context.Context, client kubernetes.Interface, namespace, selector string, v *view) error {
	feeds := []feed.Feed{podFeed(client, namespace, selector)}
	if o.Workload != (Workload{}) {
		f, err := o.Workload.feed(client, namespace)
		if err != nil {
			return err
		}
		feeds = append(feeds, f)
	}
	limited, advanced, stop := deadline(ctx, o.timeout())
	defer stop()
	v.limits, v.workload, v.log, v.advanced = o.Limits, o.Workload, o.Log, advanced
	end, err := v.follow(limited, feeds)
	switch {
	case err == nil && end == nil:
		return nil
	case err == nil:
		return o.doomed(ctx, client, *end)
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted while pods of %s start: %w", o.Revision, context.Cause(ctx))
	case errors.Is(err, errTimeUp) && v.trouble() != nil:
		return deploy.Hinted(fmt.Errorf("it is not known whether %s is ready after %s: %w", o.Revision, o.timeout(), v.trouble()),
			"look at the cluster's API server; slipway settle goes on where this stopped")
	case errors.Is(err, errTimeUp):
		return o.doomed(ctx, client, v.late(time.Now(), o.timeout()))
	}
	return err
}

// follow takes in what the feeds tell until it is decided how the revision
// fares: nil is well.
func (v *view) follow(ctx context.Context, feeds []feed.Feed) (*finding, error) {
	v.sources = make([]source, len(feeds))
	var end *finding
	err := hear(ctx, feeds, v.take, func(now time.Time) (bool, time.Time) {
		var decided bool
		end, decided = v.decide(now)
		return decided, v.again(now)
	})
	return end, err
}

// hear has take learn what the feeds tell, by their index, until it is over. It
// is asked after each piece of news, and at the time that it names itself. The
// goroutines of the feeds have ended when hear returns; an error is that of
// take, or the cause of the context's end.
func hear(ctx context.Context, feeds []feed.Feed, take func(int, feed.News) error, over func(now time.Time) (bool, time.Time)) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	heard := make(chan func() error)
	for i, f := range feeds {
		running.Go(func() {
			f.Follow(ctx, func(n feed.News) {
				select {
				case heard <- func() error { return take(i, n) }:
				case <-ctx.Done():
				}
			})
		})
	}
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		case take := <-heard:
			if err := take(); err != nil {
				return err
			}
		}
		now := time.Now()
		done, at := over(now)
		if done {
			return nil
		}
		if !at.IsZero() {
			again.Reset(at.Sub(now))
		}
	}
}
