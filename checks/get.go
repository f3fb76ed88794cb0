package checks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// maxBody is how much of a body an expression sees, in bytes.
	maxBody = 1 << 20
	// maxShown is how much of a body is told, in bytes.
	maxShown = 200
)

// get requests the path and judges the answer. Redirects are not followed: the
// answer of this version is what is asked for, and a redirect may well lead to
// another one. So a 3xx passes the default expression, and an expression can
// look at headers["location"].
func (r *Runner) get(ctx context.Context, s Subject, c deploy.Check, timeout time.Duration) error {
	program, err := compile(c.Expect)
	if err != nil {
		return &hopeless{fmt.Errorf("GET %s: %w", c.Get, err)}
	}
	a, err := r.fetch(ctx, strings.TrimSuffix(s.URL, "/")+c.Get)
	if err != nil {
		return r.unanswered(ctx, c, timeout, err)
	}
	passed, err := a.holds(ctx, program)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("timed out after %s evaluating %s", timeout, expected(c))
	case err != nil:
		return fmt.Errorf("GET %s: expected %s, %w; got %s", c.Get, expected(c), err, r.describe(a))
	case !passed:
		return fmt.Errorf("GET %s: expected %s, got %s", c.Get, expected(c), r.describe(a))
	}
	return nil
}

// unanswered says why there is no answer.
func (r *Runner) unanswered(ctx context.Context, c deploy.Check, timeout time.Duration, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("timed out after %s waiting for GET %s", timeout, c.Get)
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("GET %s: %s", c.Get, r.scrub(err.Error()))
}

// fetch makes one request over a connection of its own.
func (r *Runner) fetch(ctx context.Context, address string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", "slipway-check")
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxBody}
	client := &http.Client{Transport: transport, CheckRedirect: stay}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }() // what matters of it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return answer{}, fmt.Errorf("read the body of the %d answer: %w", resp.StatusCode, err)
	}
	return answer{
		status:  resp.StatusCode,
		body:    strings.ToValidUTF8(string(body), "\ufffd"),
		headers: headers(resp.Header),
		took:    time.Since(began),
	}, nil
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// headers have lower-case names and one value each.
func headers(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		out[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return out
}

func expected(c deploy.Check) string {
	if c.Expect == "" {
		return defaultExpect
	}
	return c.Expect
}

// describe is an answer in one line. What is secret is taken out of all of the
// body before it is cut.
func (r *Runner) describe(a answer) string {
	said := fmt.Sprintf("status %d after %s", a.status, a.took.Round(time.Millisecond))
	body := r.scrub(a.body)
	if body == "" {
		return said + " with an empty body"
	}
	return said + " with body " + excerpt(body, maxShown)
}
