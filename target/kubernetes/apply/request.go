package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// again calls one request until it is answered for good: while the server says
// 409 because of a write in between, 429 or 5xx, or cannot be reached, for as
// long as patience. The server's Retry-After is kept to; where it asks for more
// than is left, its answer is the answer.
func again(ctx context.Context, patience time.Duration, request func(context.Context) error) error {
	ends := time.Now().Add(patience)
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 100*time.Millisecond, 5*time.Second
	for tries := 1; ; tries++ {
		var asked asked
		err := within(context.WithValue(ctx, askedKey{}, &asked), ends, request)
		if err == nil || ctx.Err() != nil || !passing(err) {
			return plain(err)
		}
		pause := pauses.NextBackOff()
		pause = max(pause, asked.pause())
		if time.Now().Add(pause).After(ends) {
			return fmt.Errorf("tried %d times within %s: %w", tries, patience, plain(err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted after %d tries: %w", tries, plain(err))
		case <-time.After(pause):
		}
	}
}

// asked is the pause that the server has asked for in answer to one try. The
// library drops it where the answer is in proper form.
type asked struct{ seconds atomic.Int64 }

type askedKey struct{}

func (a *asked) pause() time.Duration { return time.Duration(a.seconds.Load()) * time.Second }

// listener passes on what servers ask for to who has asked in the request's
// context.
type listener struct{ to http.RoundTripper }

// RoundTrip is that of the transport, and a look at Retry-After, which API
// servers give in seconds.
func (l listener) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.to.RoundTrip(r)
	if err != nil {
		return response, err
	}
	seconds, wrong := strconv.ParseInt(response.Header.Get("Retry-After"), 10, 32)
	if a, ok := r.Context().Value(askedKey{}).(*asked); ok && wrong == nil && seconds > 0 {
		a.seconds.Store(seconds)
	}
	return response, nil
}

// within gives one try the time that is left, but a server that does not answer
// one request may answer the next.
func within(ctx context.Context, ends time.Time, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, max(min(time.Until(ends), 30*time.Second), time.Second))
	defer cancel()
	return request(ctx)
}

// final is an error that is not tried again, notYet one that is, whatever they
// are of.
type (
	final  struct{ error }
	notYet struct{ error }
)

// plain is an error without the mark of final or notYet.
func plain(err error) error {
	var f *final
	var n *notYet
	switch {
	case errors.As(err, &f):
		return f.error
	case errors.As(err, &n):
		return n.error
	}
	return err
}

// passing reports whether the same request may get another answer.
func passing(err error) bool {
	var f *final
	if errors.As(err, &f) {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		// No answer of the server: it was not reached, or the connection broke. All
		// that is asked for here may be asked for twice.
		return true
	}
	s := status.Status()
	switch s.Code {
	case http.StatusConflict:
		return s.Reason == metav1.StatusReasonConflict && len(conflictCauses(err)) == 0
	case http.StatusTooManyRequests:
		return true
	}
	// 500 is a webhook that cannot be reached, or etcd that changes its leader; it is
	// also what is said of a field that does not exist.
	return s.Code >= 500 && s.Code <= 504 && s.Code != 501 && !mistyped.MatchString(s.Message)
}

// conflictCauses are the fields that others own, if that is the error.
func conflictCauses(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var found []metav1.StatusCause
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			found = append(found, cause)
		}
	}
	return found
}

// once keeps the library from trying again by itself: again does it, with a
// limit in time.
func once(r *rest.Request) *rest.Request { return r.MaxRetries(0) }

// What the server says for which it has no reason of its own.
var (
	mistyped      = regexp.MustCompile(`failed to create typed (patch|live) object|field not declared in schema`)
	uidRefused    = regexp.MustCompile(`(?i)precondition failed: uid`)
	dryRunRefused = regexp.MustCompile(`does not support dry run`)
	testFailed    = regexp.MustCompile(`the server rejected our request due to an error in our request|testing value /metadata/resourceVersion failed`)
	accessRefused = regexp.MustCompile(`cannot (patch|create|get|delete|list|watch|update) resource`)
)

func absent(err error) bool { return apierrors.IsNotFound(err) }
