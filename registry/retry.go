package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// patient repeats requests that were cut off, or that a registry answered with
// 408, 429 or 5xx. It waits as long as the registry asks for (Retry-After), or
// else by its backoff, and not at all where that is longer than the operation
// has left or than maxPause.
//
// Uploads of content are repeated where the registry has not begun to take it
// alone; otherwise whoever sends it begins anew, because it is not known how much
// has arrived.
type patient struct {
	inner   http.RoundTripper
	backoff remote.Backoff
}

// maxPause is the longest wait that a registry may ask for.
const maxPause = 2 * time.Minute

// spent marks an error after which a request was repeated as often as it may
// be.
type spent struct{ error }

// Unwrap gives the error of the last attempt.
func (s spent) Unwrap() error { return s.error }

// trials is what is known about the attempts of an answered request.
type trials struct {
	// spent says that it was repeated as often as it may be.
	spent bool
	// pause is what the registry asks to wait for; zero if it does not say.
	pause time.Duration
}

type trialsKey struct{}

// trialsOf are those of a request that was answered.
func trialsOf(r *http.Request) trials {
	if r == nil {
		return trials{}
	}
	t, _ := r.Context().Value(trialsKey{}).(trials)
	return t
}

// askedPause is what a registry asked to wait for when it refused.
func askedPause(err error) time.Duration {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return trialsOf(answer.Request).pause
	}
	return 0
}

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	backoff := p.backoff
	for left := p.backoff.Steps - 1; ; left-- {
		answer, err := p.inner.RoundTrip(r)
		if !passing(answer, err) || !repeatable(r, answer) {
			return answer, err
		}
		pause := backoff.Step()
		asked := retryAfter(answer)
		if left <= 0 || asked > maxPause || !fits(r.Context(), max(pause, asked)) {
			return told(r.Context(), answer, trials{spent: true, pause: asked}), spentError(err)
		}
		next, ok := again(r)
		if !ok { // whoever has the content may begin anew
			return told(r.Context(), answer, trials{pause: asked}), err
		}
		drop(answer)
		if err := rest(r.Context(), max(pause, asked)); err != nil {
			return nil, err
		}
		r = next
	}
}

// passing tells what may go away by itself.
func passing(answer *http.Response, err error) bool {
	if err != nil {
		return cutOff(err)
	}
	switch status := answer.StatusCode; status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusInsufficientStorage:
		return false
	default:
		return status >= http.StatusInternalServerError
	}
}

// repeatable tells requests that do the same when they are sent twice. Content
// of an upload is not among them, unless the registry says that it was asked
// too much, before it looked at any of it.
func repeatable(r *http.Request, answer *http.Response) bool {
	upload := strings.Contains(r.URL.Path, "/blobs/uploads/")
	if !upload || r.Method == http.MethodPost || r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return true
	}
	return answer != nil && answer.StatusCode == http.StatusTooManyRequests
}

// again is the request once more, from the beginning of its body.
func again(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	next := r.Clone(r.Context())
	next.Body = body
	return next, true
}

// retryAfter is what a registry asks to wait for: seconds, or a date.
func retryAfter(answer *http.Response) time.Duration {
	if answer == nil {
		return 0
	}
	said := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(said, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(said); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// fits says whether a pause leaves time for another attempt.
func fits(ctx context.Context, pause time.Duration) bool {
	end, limited := ctx.Deadline()
	return !limited || time.Until(end) > pause
}

func rest(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// drop lets go of an answer in a way that keeps its connection.
func drop(answer *http.Response) {
	if answer != nil {
		_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
		_ = answer.Body.Close()
	}
}

// told leaves what is known about the attempts with the answer's request, which
// the error that is made of it keeps.
func told(ctx context.Context, answer *http.Response, t trials) *http.Response {
	if answer != nil && answer.Request != nil {
		answer.Request = answer.Request.WithContext(context.WithValue(ctx, trialsKey{}, t))
	}
	return answer
}

func spentError(err error) error {
	if err == nil {
		return nil
	}
	return spent{err}
}

// isSpent says that an error has been waited out already.
func isSpent(err error) bool {
	_, ok := errors.AsType[spent](err)
	return ok
}
