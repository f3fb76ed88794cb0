package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// ledger is the journal as one run writes it: each record follows the one
// before, or somebody else has taken over.
type ledger struct {
	journal deploy.Journal
	record  deploy.Record
}

// write changes the record and stores it. After deploy.ErrConflict the run
// must not touch the target any more.
func (l *ledger) write(ctx context.Context, change func(*deploy.Record)) error {
	next := l.record
	change(&next)
	next.At = time.Now()
	err := within(ctx, readLimit, "write the journal", func(ctx context.Context) error {
		return l.journal.Write(ctx, next)
	})
	if err != nil {
		return err
	}
	next.Version++
	l.record = next
	return nil
}

// follow refuses to go on when somebody else has written the journal. A record
// of this very run, written by a call whose answer was lost, is taken up.
func (l *ledger) follow(read deploy.Record) error {
	switch {
	case read.Version == l.record.Version:
		return nil
	case read.Owner.Run == l.record.Owner.Run:
		l.record.Version = read.Version
		return nil
	}
	return deploy.ErrConflict
}

// enter writes a phase.
func (l *ledger) enter(ctx context.Context, p deploy.Phase) error {
	return l.write(ctx, func(r *deploy.Record) { r.Phase = p })
}

// settle writes the end.
func (l *ledger) settle(ctx context.Context, o deploy.Outcome, why string) error {
	return l.write(ctx, func(r *deploy.Record) {
		r.Phase, r.Outcome, r.Reason = deploy.PhaseSettled, o, why
	})
}

// reached reports whether users may have met the candidate.
func (l *ledger) reached() bool { return l.record.Share > 0 }

// overtaken says that another run writes this journal now.
func overtaken(err error) bool { return errors.Is(err, deploy.ErrConflict) }

// errOvertaken is what a run ends with that finds itself overtaken.
func errOvertaken(t deploy.Target) error {
	return deploy.Hinted(fmt.Errorf("another run has taken %s over: %w", t, deploy.ErrConflict),
		"look at slipway status; the other run decides what happens there")
}
