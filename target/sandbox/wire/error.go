package wire

import (
	"context"
	"errors"

	"github.com/slipway-ci/slipway/deploy"
)

// Error is an error on its way. What a caller can tell apart by type or by
// errors.Is arrives as the same type.
type Error struct {
	Message string `json:"message"`
	// Hint is of the outermost deploy.Fault.
	Hint  string `json:"hint,omitempty"`
	Usage bool   `json:"usage,omitempty"`
	// Cause is what errors.Is finds: "conflict", "canceled", "deadline" or
	// empty.
	Cause  string         `json:"cause,omitempty"`
	Doomed *deploy.Doomed `json:"doomed,omitempty"`
	Locked *deploy.Locked `json:"locked,omitempty"`
}

// causes are the sentinels that travel.
var causes = []struct {
	name string
	err  error
}{
	{"conflict", deploy.ErrConflict},
	{"canceled", context.Canceled},
	{"deadline", context.DeadlineExceeded},
}

// Encode packs an error.
func Encode(err error) Error {
	e := Error{Message: err.Error(), Hint: deploy.HintOf(err), Usage: deploy.IsUsage(err)}
	errors.As(err, &e.Doomed)
	errors.As(err, &e.Locked)
	for _, c := range causes {
		if errors.Is(err, c.err) {
			e.Cause = c.name
			break
		}
	}
	return e
}

// Decode unpacks an error.
func (e Error) Decode() error {
	err := error(&remote{message: e.Message, cause: e.cause()})
	if e.Hint != "" || e.Usage {
		return &deploy.Fault{Err: err, Hint: e.Hint, Usage: e.Usage}
	}
	return err
}

// cause is what the decoded error wraps; nil when it is only a message.
func (e Error) cause() error {
	if e.Doomed != nil {
		return e.Doomed
	}
	if e.Locked != nil {
		return e.Locked
	}
	for _, c := range causes {
		if c.name == e.Cause {
			return c.err
		}
	}
	return nil
}

// remote reads as it did where it happened.
type remote struct {
	message string
	cause   error
}

// Error is the message.
func (r *remote) Error() string { return r.message }

// Unwrap gives the typed cause.
func (r *remote) Unwrap() error { return r.cause }

// ErrOtherVersion is the refusal of a client and a process that do not speak
// the same Protocol.
func ErrOtherVersion() error {
	return deploy.Hinted(errors.New("a sandbox of another version of slipway runs"),
		"slipway sandbox down, then slipway sandbox up")
}
