package checks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Subject is the running version that is asked.
type Subject struct {
	// URL reaches the version alone, such as http://127.0.0.1:18081.
	URL         string
	Version     string
	Environment string
}

// Runner runs checks. Its zero value works; it may be used by several
// goroutines at once.
type Runner struct {
	// Dir is the working directory of commands; empty is this process's.
	Dir string
	// Env is the environment of commands, as "NAME=value". URL, VERSION and
	// ENVIRONMENT are added to it. PATH in it is where commands are found.
	Env []string
	// Scrub takes secrets out of what is told of answers and outputs. It sees
	// them before they are shortened, so that no half of a secret slips
	// through. Nil leaves everything as it is.
	Scrub func(string) string
}

// The pauses between attempts double from the first to the last.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 2 * time.Second
)

// Run asks every check in order, each as often as its Attempts allow, and
// returns one result for each. Failing checks do not stop the ones after them,
// so that all that is wrong is known at once. done, which may be nil, is told
// each result as it comes. When ctx ends, the check under way and all that
// remain are failed as interrupted.
func (r *Runner) Run(ctx context.Context, s Subject, list []deploy.Check, done func(deploy.CheckResult)) []deploy.CheckResult {
	results := make([]deploy.CheckResult, 0, len(list))
	for _, c := range list {
		result := r.one(ctx, s, c)
		results = append(results, result)
		if done != nil {
			done(result)
		}
	}
	return results
}

// one asks a check until it passes or has no attempts left.
func (r *Runner) one(ctx context.Context, s Subject, c deploy.Check) deploy.CheckResult {
	began := time.Now()
	result := deploy.CheckResult{Name: c.Name}
	pause := firstPause
	for result.Attempts < max(1, c.Attempts) && ctx.Err() == nil {
		result.Attempts++
		err := r.attempt(ctx, s, c)
		if err == nil {
			result.Passed, result.Detail = true, ""
			break
		}
		result.Detail = err.Error()
		var final *hopeless
		if errors.As(err, &final) || result.Attempts >= c.Attempts {
			break
		}
		sleep(ctx, pause)
		pause = min(2*pause, lastPause)
	}
	result.Took = time.Since(began)
	if ctx.Err() != nil && !result.Passed {
		result.Detail = interrupted(result, began)
	}
	return result
}

// interrupted is the detail of a check that was not asked to its end.
func interrupted(result deploy.CheckResult, began time.Time) string {
	if result.Attempts == 0 {
		return "interrupted before it was asked"
	}
	return fmt.Sprintf("interrupted after %s", time.Since(began).Round(time.Millisecond))
}

// attempt asks once, within the check's Timeout.
func (r *Runner) attempt(ctx context.Context, s Subject, c deploy.Check) error {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = deploy.DefaultCheckTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if len(c.Run) > 0 {
		return r.command(ctx, s, c, timeout)
	}
	return r.get(ctx, s, c, timeout)
}

// sleep waits for a pause or until ctx ends.
func sleep(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// hopeless marks what no further attempt can change.
type hopeless struct{ error }

// Unwrap gives the cause.
func (h *hopeless) Unwrap() error { return h.error }

func (r *Runner) scrub(s string) string {
	if r.Scrub == nil {
		return s
	}
	return r.Scrub(s)
}
