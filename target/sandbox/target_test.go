package sandbox_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
	"github.com/slipway-ci/slipway/target/targettest"
)

// TestTarget waits more than it works, as TestInADefaultContainer does, and both
// have a sandbox of their own: so they run at the same time.
func TestTarget(t *testing.T) {
	t.Parallel()
	b := up(t)
	spoil := mistakes[os.Getenv(mistakeEnv)]
	targettest.Run(t, targettest.Driver{
		Repository: b.repository(),
		Open: func(t *testing.T, app string, env deploy.Environment) deploy.Target {
			client, err := sandbox.Connect(t.Context(), b.config)
			if err != nil {
				t.Fatal(err)
			}
			if spoil.target != nil {
				return spoil.target(client.Target(app, env))
			}
			return client.Target(app, env)
		},
	})
}

// mistakeEnv names the mistake that TestTarget makes, in a process that is
// started to make it.
const mistakeEnv = "SANDBOX_TEST_MISTAKE"

// mistakes are what a driver may do wrong, and the case that has to see it.
var mistakes = map[string]struct {
	seenBy string
	target func(*sandbox.Target) deploy.Target
}{
	"start does not wait":        {"start waits until the replicas are ready", func(t *sandbox.Target) deploy.Target { return hasty{t} }},
	"doom is an error as others": {"an app that exits is doomed", func(t *sandbox.Target) deploy.Target { return vague{t} }},
	"switch does nothing":        {"switch gives all users at once and keeps the old side", func(t *sandbox.Target) deploy.Target { return idle{t} }},
	"switch stops the old first": {"no request is lost from one version to the next and back", func(t *sandbox.Target) deploy.Target { return gap{t} }},
	"the baseline gets nobody":   {"candidate and baseline get their shares, and nobody else's", func(t *sandbox.Target) deploy.Target { return shy{t} }},
	"the baseline is another":    {"a baseline that cannot be is refused", func(t *sandbox.Target) deploy.Target { return lax{t} }},
	"split gives half":           {"a split is read back and followed", func(t *sandbox.Target) deploy.Target { return mean{t} }},
	"the last writer wins":       {"the journal refuses who is behind", func(t *sandbox.Target) deploy.Target { return deaf{t} }},
	"everybody gets the lock":    {"a lock is refused with who holds it", func(t *sandbox.Target) deploy.Target { return open{t} }},
}

type (
	hasty struct{ *sandbox.Target }
	vague struct{ *sandbox.Target }
	idle  struct{ *sandbox.Target }
	gap   struct{ *sandbox.Target }
	mean  struct{ *sandbox.Target }
	shy   struct{ *sandbox.Target }
	lax   struct{ *sandbox.Target }
	deaf  struct{ *sandbox.Target }
	open  struct{ *sandbox.Target }
)

func (h hasty) Start(ctx context.Context, r deploy.Revision) error {
	go func() { _ = h.Target.Start(ctx, r) }()
	for {
		s, err := h.State(ctx)
		if _, found := s.Find(r.ID); found || err != nil {
			return err
		}
	}
}

func (v vague) Start(ctx context.Context, r deploy.Revision) error {
	if err := v.Target.Start(ctx, r); err != nil {
		return errors.New(err.Error())
	}
	return nil
}

func (i idle) Switch(ctx context.Context, r deploy.Revision) error {
	if s, err := i.State(ctx); err != nil || s.Live != nil {
		return err
	}
	return i.Target.Switch(ctx, r)
}

func (g gap) Switch(ctx context.Context, r deploy.Revision) error {
	s, err := g.State(ctx)
	if err == nil && s.Live != nil && s.Live.ID != r.ID {
		err = g.Stop(ctx, *s.Live)
	}
	return errors.Join(err, g.Target.Switch(ctx, r))
}

func (m mean) Split(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	return m.Target.Split(ctx, r, share/2)
}

func (s shy) SplitBeside(ctx context.Context, r deploy.Revision, share, _ deploy.Percent) error {
	return s.Split(ctx, r, share)
}

func (l lax) StartBaseline(ctx context.Context, r deploy.Revision) error { return l.Start(ctx, r) }

func (d deaf) Write(ctx context.Context, r deploy.Record) error {
	s, err := d.State(ctx)
	r.Version = s.Record.Version
	return errors.Join(err, d.Target.Write(ctx, r))
}

func (open) Lock(context.Context, deploy.Owner, time.Duration) error { return nil }

// TestTheSuiteSeesMistakes runs single cases of the suite against drivers that
// do one thing wrong: a case that cannot fail proves nothing.
func TestTheSuiteSeesMistakes(t *testing.T) {
	needSandbox(t)
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pattern := "TestTarget/^" + strings.ReplaceAll(m.seenBy, " ", "_") + "$"
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=2m")
			cmd.Env = append(os.Environ(), mistakeEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(string(out), "--- FAIL: TestTarget/") {
				t.Errorf("the suite sees nothing: %v\n%s", err, out)
			}
		})
	}
}
