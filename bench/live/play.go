package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// trial is what came of a scene.
type trial struct {
	scene
	version string
	users   workshop.Count
	result  workshop.Result
	// toRevert is from the first request that the version answered badly, or, of
	// one whose answers are good, that it answered at all, until it was decided to
	// go back; back is from then until its last request.
	toRevert, back time.Duration
}

// The limits of what a scene waits for. What is waited for takes seconds.
const (
	sceneLimit   = 10 * time.Minute
	historyLimit = 2 * time.Minute
)

// play releases the version of a scene to users, in a sandbox of its own.
func (b *bench) play(ctx context.Context, s scene, i int) (t trial, err error) {
	ctx, cancel := context.WithTimeout(ctx, sceneLimit)
	defer cancel()
	t = trial{scene: s, version: version(i)}
	w, err := b.Beside("scene-" + t.version)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	url := ""
	if s.watched {
		p, err := watch(ctx, w)
		if err != nil {
			return t, err
		}
		defer p.close()
		s.yaml = strings.ReplaceAll(s.yaml, "PROMETHEUS", p.url)
	}
	if url, err = begin(ctx, w, s.yaml); err != nil {
		return t, err
	}
	users := workshop.Send(url, s.perSecond)
	defer users.End()
	if err := past(ctx, users, 3*s.perSecond); err != nil {
		return t, err
	}
	if t.result, err = release(ctx, w, t.version); err != nil {
		return t, err
	}
	if err := workshop.Pause(ctx, time.Second); err != nil {
		return t, err
	}
	t.users = users.End()
	t.time()
	return t, t.wrong()
}

// begin makes the good version live, and tells its address.
func begin(ctx context.Context, w *workshop.Workshop, yaml string) (url string, err error) {
	if err := w.Configure(app + yaml); err != nil {
		return "", err
	}
	r, err := release(ctx, w, good)
	if err == nil {
		err = r.Exits(0)
	}
	if err != nil {
		return "", err
	}
	if url = r.Report.URL("production"); url == "" {
		return "", fmt.Errorf("%s does not say where production is", r.Command)
	}
	return url, nil
}

func release(ctx context.Context, w *workshop.Workshop, version string) (workshop.Result, error) {
	if err := w.Use(version); err != nil {
		return workshop.Result{}, err
	}
	return w.Deploy(ctx, nil, "release", "--version", version)
}

// past waits until the good version has a past to be compared with.
func past(ctx context.Context, users *workshop.Users, requests int) error {
	ctx, cancel := context.WithTimeout(ctx, historyLimit)
	defer cancel()
	for users.Count().Sent < requests {
		if err := workshop.Pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("the live version has answered %d of %d requests: %w", users.Count().Sent, requests, err)
		}
	}
	return nil
}

func (t *trial) time() {
	decided, _, back := t.result.Report.Back("production")
	if !back {
		return
	}
	first, failed := t.users.FirstFault[t.version]
	if !failed {
		first = t.users.First[t.version]
	}
	t.toRevert, t.back = max(0, decided.Sub(first)), max(0, t.users.Last[t.version].Sub(decided))
}

// wrong says all that is not as it has to be.
func (t *trial) wrong() error {
	errs := []error{t.result.Exits(t.code)}
	reason := t.result.Report.Reason("production")
	switch {
	case t.reason != nil && !t.reason.MatchString(reason):
		errs = append(errs, fmt.Errorf("it goes back because of %q, which is not as %s", reason, t.reason))
	case t.reason == nil && reason != "":
		errs = append(errs, fmt.Errorf("it goes back: %s", reason))
	}
	c := t.users
	lost := c.Lost
	if t.dies {
		lost -= c.LostBy[t.version]
	}
	if harmed := lost + c.Faults[good]; harmed > 0 {
		errs = append(errs, fmt.Errorf("%d requests failed that the version did not fail itself; the first that was lost, %s", harmed, c.FirstLost))
	}
	if t.build.Fails == 0 && c.Faults[t.version] > 0 {
		errs = append(errs, fmt.Errorf("it fails %d requests, and was not made to", c.Faults[t.version]))
	}
	if t.late && c.Answered[t.version] < t.perSecond {
		errs = append(errs, fmt.Errorf("it was not good at first: it has %d good answers", c.Answered[t.version]))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("a version that %s: %w", t.name, err)
	}
	return nil
}
