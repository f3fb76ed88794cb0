package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// A pod is ready, its endpoint is written, and a gateway that is busy has not read
// that yet: it would answer users whom the route sends there with an error. So it
// is asked for a revision before that gets its first user.
const (
	// sight is how long a gateway may take to reach a revision that was started,
	// and sightBack one that had the users before: they are not kept on a bad
	// version for what is almost certain.
	sight     = takeIn
	sightBack = time.Second
	// lookPause is between the first two questions, and doubles up to
	// lookPauseMost: gateways count what they cannot answer as errors of the
	// revision.
	lookPause     = 50 * time.Millisecond
	lookPauseMost = time.Second
	// headroom is how much of an answer is read, in bytes.
	headroom = 16 << 10
)

// meet looks through the gateway at revisions that get their first users, unless
// they were met. What cannot be seen is told, and keeps nobody.
func (r route) meet(ctx context.Context, o *unstructured.Unstructured, before, after objects.Traffic, met map[string]bool) error {
	had := before.Serving()
	for _, id := range after.Serving() {
		if met[id] || slices.Contains(had, id) || !objects.Looks(o, before, id) {
			continue
		}
		met[id] = true
		err := r.sees(ctx, before, id)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			r.log.Warn("the gateway is not seen to reach a version that is about to get users: they are sent there all the same",
				"version", r.place.Name(id), "because", err)
		}
	}
	return nil
}

// sees waits until the gateway reaches a revision. A gateway that cannot be asked
// is no error.
func (r route) sees(ctx context.Context, t objects.Traffic, id string) error {
	limit := sight
	if id == t.Live || id == t.Standby {
		limit = sightBack
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if nobody(t) { // nobody has followed the route yet
		heard, err := r.hears(limited, func(mark string) bool { return mark == r.place.Mark(t) })
		if err != nil || !heard {
			return err
		}
	}
	last := errors.New("it was not asked")
	for deaf, pause := 0, lookPause; deaf < probes; pause = min(2*pause, lookPauseMost) {
		answer, err := r.ask(limited, t.LookValue(id))
		switch {
		case err != nil:
			r.log.Debug("ask the gateway for a version", "version", r.place.Name(id), "error", err)
			deaf++
		case answer.mark != "":
			last = errors.New("the gateway does not follow the route")
		case answer.status < http.StatusInternalServerError, r.saysItself(limited, id, answer.status):
			return nil
		default:
			last = fmt.Errorf("the gateway answers %d %s", answer.status, http.StatusText(answer.status))
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("for %s %w", limit, last)
		case <-time.After(pause):
		}
	}
	return nil
}

// saysItself reports whether an error is what the revision's own pods answer.
func (r route) saysItself(ctx context.Context, id string, status int) bool {
	url := r.ways.In(r.place).URL(id)
	if url == "" {
		return false
	}
	answer, err := get(ctx, http.DefaultTransport, url+objects.ProbePath, "")
	return err == nil && answer.status == status
}

// answer is the head of one: its status, and the mark that it names, which is empty
// where it is somebody else's.
type answer struct {
	status int
	mark   string
}

// ask asks the gateway at objects.ProbePath as a user would: for a revision by its
// LookValue, or else for what it has in force.
func (r route) ask(ctx context.Context, look string) (answer, error) {
	return get(ctx, r.users, r.urlOf(ctx)+objects.ProbePath, look)
}

// get asks by a LookValue, which may be empty.
func get(ctx context.Context, by http.RoundTripper, url, look string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	if look != "" {
		req.Header.Set(objects.LookHeader, look)
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, headroom) // so that the connection can be used again
	got := answer{status: resp.StatusCode}
	if to, err := resp.Location(); err == nil && strings.HasSuffix(to.Hostname(), objects.MarkDomain) {
		got.mark = to.Hostname()
	}
	return got, nil
}

// hears asks the gateway until it has a mark in force that is wanted. It gives false
// where nobody can be asked.
func (r route) hears(ctx context.Context, wanted func(mark string) bool) (bool, error) {
	for deaf := 0; ; {
		now, err := r.probe(ctx)
		switch {
		case wanted(now):
			return true, nil
		case now == "":
			r.log.Debug("ask the gateway what it has in force", "error", err)
			if deaf++; deaf >= probes {
				return false, nil
			}
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("interrupted while the gateway follows: %w", ctx.Err())
		case <-time.After(probePause):
		}
	}
}

// probe is the mark of what the gateway has in force; empty where nobody says.
func (r route) probe(ctx context.Context) (string, error) {
	answer, err := r.ask(ctx, "")
	if err != nil {
		return "", err
	}
	if answer.mark == "" {
		err = fmt.Errorf("it answers %d %s", answer.status, http.StatusText(answer.status))
	}
	return answer.mark, err
}

// obeys reports whether the gateway sends users as a traffic says.
func (r route) obeys(t objects.Traffic) func(mark string) bool {
	return func(mark string) bool { return r.place.MarksWays(mark, t) }
}

// follows waits until the gateway has the traffic in force. Where this machine does
// not reach it, or the route has no rule that answers, that cannot be known: then
// it is given a moment, unless it had the route before.
func (r route) follows(ctx context.Context, t objects.Traffic, before bool) error {
	heard, err := r.hears(ctx, r.obeys(t))
	if err != nil || heard || before {
		return err
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("interrupted while the gateway follows: %w", ctx.Err())
	case <-time.After(lag):
		return nil
	}
}
