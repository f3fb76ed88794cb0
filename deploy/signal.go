package deploy

import (
	"context"
	"time"
)

// Signaller is a Target through which one run can speak to another: to the one
// that is changing the environment right now.
type Signaller interface {
	// Signal leaves the signal where State tells it, in place of the one
	// before.
	Signal(ctx context.Context, s Signal) error
}

// Signal asks the run that changes an environment to do something else.
type Signal struct {
	Kind SignalKind `json:"kind"`
	// Run is the Owner.Run that is meant; no other heeds it.
	Run string `json:"run"`
	// From asks for it, for the reason that it gives.
	From Owner     `json:"from"`
	At   time.Time `json:"at"`
}

// SignalKind is what a Signal asks for.
type SignalKind string

// The signals.
const (
	// SignalPause holds the rollout where it is.
	SignalPause SignalKind = "pause"
	// SignalAbort takes it back.
	SignalAbort SignalKind = "abort"
)
