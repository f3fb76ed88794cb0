package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Endpoint answers with traffic as it is recorded for a replay: lines of
// analysis.TraceLine.
type Endpoint struct {
	// Name of the metric; empty means that its counts are all traffic.
	Name string
	// Address is requested with GET.
	Address string
	Access  Access
	// Timeout of one request; zero means ten seconds.
	Timeout time.Duration
}

// HTTP measures by an Endpoint. It may answer with the newest line, or with as
// many as it likes: what counts are those whose t is above that of the last one
// seen. So a line must not be changed once it has been told, and lines have
// their own times, not that of the request.
type HTTP struct {
	endpoint Endpoint
	address  string
	client   *http.Client
	began    bool
	// last is the time of the last line seen.
	last time.Duration
}

var _ Source = (*HTTP)(nil)

// NewHTTP checks an endpoint, and makes a source of it. Errors are usage errors.
func NewHTTP(e Endpoint) (*HTTP, error) {
	u, err := parseAddress(e.Address)
	if err != nil {
		return nil, err
	}
	if err := e.Access.check(); err != nil {
		return nil, err
	}
	if e.Timeout <= 0 {
		e.Timeout = defaultTimeout
	}
	ok := func(code int) bool { return code == http.StatusOK || code == http.StatusNoContent || code/100 == 3 }
	return &HTTP{endpoint: e, address: u.Redacted(), client: &http.Client{
		Transport: &gate{access: e.Access, host: u.Host, next: transport(), fine: ok},
		Timeout:   e.Timeout,
	}}, nil
}

// FetchError is an endpoint that did not answer, or not with recorded traffic.
type FetchError struct {
	Address string
	// Temporary says that the next attempt may succeed.
	Temporary bool
	Err       error
}

// Error names the address and what is wrong.
func (e *FetchError) Error() string { return fmt.Sprintf("GET %s: %s", e.Address, e.Err) }

// Unwrap gives what is wrong.
func (e *FetchError) Unwrap() error { return e.Err }

// Temporary says whether a source may succeed at the next attempt, as after a
// time-out. A query that is wrong stays wrong, also beside others that may
// succeed.
func Temporary(err error) bool {
	var several interface{ Unwrap() []error }
	var q *QueryError
	var f *FetchError
	switch {
	case errors.As(err, &several):
		return !slices.ContainsFunc(several.Unwrap(), func(err error) bool { return !Temporary(err) })
	case errors.As(err, &q):
		return q.Temporary
	case errors.As(err, &f):
		return f.Temporary
	}
	return false
}

// Measure takes the lines that are new. An answer without a line says that
// nothing is new. Of an endpoint whose time goes back, which has begun anew,
// nothing is counted until its time goes on.
func (h *HTTP) Measure(ctx context.Context) (Reading, error) {
	lines, err := h.fetch(ctx)
	if err != nil {
		return Reading{}, err
	}
	before, began := h.last, h.began
	h.began = true
	if len(lines) == 0 {
		return Reading{}, nil
	}
	h.last = lines[len(lines)-1].At // a trace is in order
	if h.last < before {
		return Reading{}, h.failed(true, fmt.Errorf("t went back from %s to %s", before, h.last),
			"t are seconds since the rollout began, and only grow")
	}
	if !began {
		return Reading{}, nil
	}
	fresh := slices.DeleteFunc(lines, func(l analysis.TraceLine) bool { return l.At <= before })
	return Reading{Measures: joined(h.endpoint.Name, fresh)}, nil
}

// joined is one measure of all lines.
func joined(name string, lines []analysis.TraceLine) []analysis.Measure {
	if len(lines) == 0 {
		return nil
	}
	m := analysis.Measure{Name: name}
	for _, l := range lines {
		m.Live, m.Candidate = plus(m.Live, l.Baseline), plus(m.Candidate, l.Canary)
	}
	return []analysis.Measure{m}
}

// fetch reads the lines but for those of history.
func (h *HTTP) fetch(ctx context.Context) ([]analysis.TraceLine, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.endpoint.Address, http.NoBody)
	if err != nil {
		return nil, h.failed(false, err, "look at the address")
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, h.unanswered(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // what matters of it was read
	var lines []analysis.TraceLine
	for r := analysis.NewTraceReader(resp.Body); ; {
		line, err := r.Next()
		var wrong *analysis.TraceError
		switch {
		case errors.Is(err, io.EOF):
			return lines, nil
		case errors.As(err, &wrong):
			return nil, h.failed(false, errors.New(h.endpoint.Access.scrub(shortened(wrong.Error()))), "answer with lines as docs/judge.md describes them")
		case err != nil:
			return nil, h.unanswered(ctx, err)
		}
		if !line.History {
			lines = append(lines, line)
		}
	}
}

func (h *HTTP) unanswered(ctx context.Context, err error) error {
	var status *statusError
	var at *url.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return h.failed(true, fmt.Errorf("interrupted: %w", context.Cause(ctx)), "")
	case isTimeout(err):
		return h.failed(true, fmt.Errorf("timed out after %s", h.endpoint.Timeout), "answer sooner, or give it a longer timeout")
	case errors.Is(err, errTooLarge):
		return h.failed(false, errTooLarge, "answer with the newest lines alone")
	case errors.As(err, &status):
		temporary, hint := status.advice()
		return h.failed(temporary, status, hint)
	case errors.As(err, &at):
		err = at.Err
	}
	return h.failed(true, errors.New(h.endpoint.Access.scrub(shortened(err.Error()))), "look at whether the address is right and reachable from here")
}

func (h *HTTP) failed(temporary bool, err error, hint string) error {
	return deploy.Hinted(&FetchError{Address: h.address, Temporary: temporary, Err: err}, "%s", hint)
}
