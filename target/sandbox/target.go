package sandbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// Target is one environment in the sandbox. It can do every strategy.
type Target struct {
	client *Client
	app    string
	env    deploy.Environment
}

var (
	_ deploy.Target   = (*Target)(nil)
	_ deploy.Splitter = (*Target)(nil)
	_ deploy.Roller   = (*Target)(nil)
	_ deploy.Journal  = (*Target)(nil)
	_ deploy.Locker   = (*Target)(nil)
	_ deploy.Witness  = (*Target)(nil)
	_ deploy.Remover  = (*Target)(nil)

	_ deploy.Baseliner = (*Target)(nil)
	_ deploy.Signaller = (*Target)(nil)
)

// Kinds are the strategies that the sandbox can do: all of them.
func Kinds() []deploy.Kind { return slices.Clone(deploy.Kinds) }

// Target is an environment of an app. Nothing is asked of the sandbox yet; the
// environment comes about with the first act on it.
func (c *Client) Target(app string, env deploy.Environment) *Target {
	return &Target{client: c, app: app, env: env}
}

// String reads "sandbox hello/production".
func (t *Target) String() string { return "sandbox " + t.app + "/" + t.env.Name }

// State reads everything at one moment. An environment on which nobody has
// acted yet is empty.
func (t *Target) State(ctx context.Context) (deploy.State, error) {
	var s deploy.State
	err := t.act(ctx, wire.ActState, wire.Request{}, &s, "read the state of %s", t)
	return s, err
}

// Start runs the revision without traffic until it can serve. A secret without
// value is one that the environment knows already.
func (t *Target) Start(ctx context.Context, r deploy.Revision) error {
	return t.act(ctx, wire.ActStart, t.client.withLogin(ctx, wire.Request{}.WithRevision(r)), nil, "start %s at %s", r, t)
}

// Switch gives a started revision all users.
func (t *Target) Switch(ctx context.Context, r deploy.Revision) error {
	return t.act(ctx, wire.ActSwitch, wire.Request{Revision: r}, nil, "switch %s to %s", t, r)
}

// Stop drains and removes a revision. What it has begun goes on when ctx ends.
func (t *Target) Stop(ctx context.Context, r deploy.Revision) error {
	return t.act(ctx, wire.ActStop, wire.Request{Revision: r}, nil, "stop %s in %s", r, t)
}

// Split gives the candidate a share of the users.
func (t *Target) Split(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	return t.act(ctx, wire.ActSplit, wire.Request{Revision: r, Share: share}, nil, "give %s of the users of %s to %s", share, t, r)
}

// StartBaseline runs the live revision once more, without traffic, until it can
// serve.
func (t *Target) StartBaseline(ctx context.Context, r deploy.Revision) error {
	return t.act(ctx, wire.ActBaseline, t.client.withLogin(ctx, wire.Request{}.WithRevision(r)), nil, "start the baseline %s at %s", r, t)
}

// SplitBeside gives the candidate a share of the users, and the baseline one.
func (t *Target) SplitBeside(ctx context.Context, r deploy.Revision, share, baseline deploy.Percent) error {
	return t.act(ctx, wire.ActSplit, wire.Request{Revision: r, Share: share, Baseline: baseline}, nil,
		"give %s of the users of %s to %s and %s to its baseline", share, t, r, baseline)
}

// Roll brings about a batch of a rolling replacement, and returns when what is
// too many has ended.
func (t *Target) Roll(ctx context.Context, r deploy.Revision, b deploy.Batch) error {
	return t.act(ctx, wire.ActRoll, t.client.withLogin(ctx, wire.Request{Batch: b}.WithRevision(r)), nil, "roll %s to %s", t, r)
}

// Write stores a record by compare-and-swap.
func (t *Target) Write(ctx context.Context, r deploy.Record) error {
	return t.act(ctx, wire.ActWrite, wire.Request{Record: &r}, nil, "write the journal of %s", t)
}

// Lock takes or extends the environment. An owner on this machine whose
// process has ended loses it at once.
func (t *Target) Lock(ctx context.Context, o deploy.Owner, ttl time.Duration) error {
	return t.act(ctx, wire.ActLock, wire.Request{Owner: o, TTL: ttl}, nil, "lock %s", t)
}

// Unlock gives the environment back.
func (t *Target) Unlock(ctx context.Context, o deploy.Owner) error {
	return t.act(ctx, wire.ActUnlock, wire.Request{Owner: o}, nil, "unlock %s", t)
}

// Signal leaves a word for the run that is at work in the environment.
func (t *Target) Signal(ctx context.Context, s deploy.Signal) error {
	return t.act(ctx, wire.ActSignal, wire.Request{Signal: &s}, nil, "signal the run in %s", t)
}

// Remove ends everything that runs in the environment and forgets it.
func (t *Target) Remove(ctx context.Context) error { return t.client.Remove(ctx, t.app, t.env.Name) }

// Evidence is about the replica of a revision that fared worst.
func (t *Target) Evidence(ctx context.Context, r deploy.Revision) (deploy.Evidence, error) {
	var e deploy.Evidence
	err := t.act(ctx, wire.ActEvidence, wire.Request{Revision: r}, &e, "ask after %s in %s", r, t)
	return e, err
}

// act asks the sandbox and names the act in its errors.
func (t *Target) act(ctx context.Context, act string, r wire.Request, answer any, format string, args ...any) error {
	r.Port = t.env.Target.Port
	err := t.client.act(ctx, t.app, t.env.Name, act, r, answer)
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
