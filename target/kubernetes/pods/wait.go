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
	feeds := []feed{podFeed(client, namespace, selector)}
	if o.Workload != (Workload{}) {
		f, err := o.Workload.feed(client, namespace)
		if err != nil {
			return err
		}
		feeds = append(feeds, f)
	}
	v := &view{limits: o.Limits, want: want, workload: o.Workload, log: o.Log}
	limited, cancel := context.WithTimeoutCause(ctx, o.timeout(), errTimeUp)
	defer cancel()
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
// fares: nil is well. Their goroutines have ended when it returns.
func (v *view) follow(ctx context.Context, feeds []feed) (*finding, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	heard := make(chan func() error)
	v.sources = make([]source, len(feeds))
	for i, f := range feeds {
		running.Go(func() {
			f.follow(ctx, func(n news) {
				select {
				case heard <- func() error { return v.take(i, n) }:
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
			return nil, context.Cause(ctx)
		case <-again.C:
		case take := <-heard:
			if err := take(); err != nil {
				return nil, err
			}
		}
		now := time.Now()
		end, decided := v.decide(now)
		if decided {
			return end, nil
		}
		if at := v.again(now); !at.IsZero() {
			again.Reset(at.Sub(now))
		}
	}
}
