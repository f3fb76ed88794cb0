package report

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
)

// GitHubOptions say how GitHub is reached. Token and Repository are required.
type GitHubOptions struct {
	// APIURL is where the REST API answers, such as https://api.github.com,
	// which is also the default; GITHUB_API_URL names it on a runner.
	APIURL string
	// Repository is owner/name.
	Repository string
	Token      string
	// Transport makes the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Budget bounds each operation with all of its attempts; 0 means 60s.
	Budget time.Duration
	// FirstWait is how long the first wait before another attempt is, each
	// further one longer; 0 means 500ms.
	FirstWait time.Duration
}

// GitHub talks to one repository. Answers of 5xx, broken connections and rate
// limits are tried again, within a limit. It may be used from several
// goroutines.
type GitHub struct {
	api         *github.Client
	owner, name string
	budget      time.Duration
	firstWait   time.Duration
}

// requestLimit bounds one request.
const requestLimit = 20 * time.Second

// NewGitHub makes a client. A repository or an address that cannot be is a
// usage error.
func NewGitHub(o GitHubOptions) (*GitHub, error) {
	owner, name, ok := strings.Cut(o.Repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, deploy.Usage("it has the form owner/name; GITHUB_REPOSITORY names it on a runner", "%q is not a GitHub repository", o.Repository)
	}
	base, err := url.Parse(strings.TrimSuffix(orElse(o.APIURL, "https://api.github.com"), "/") + "/")
	if err != nil || base.Host == "" {
		return nil, deploy.Usage("GITHUB_API_URL names it on a runner", "%q is not the address of GitHub's API", o.APIURL)
	}
	api := github.NewClient(&http.Client{Transport: o.Transport, Timeout: requestLimit}).WithAuthToken(o.Token)
	api.BaseURL = base
	api.UserAgent = "slipway"
	g := &GitHub{api: api, owner: owner, name: name, budget: o.Budget, firstWait: o.FirstWait}
	if g.budget == 0 {
		g.budget = time.Minute
	}
	if g.firstWait == 0 {
		g.firstWait = 500 * time.Millisecond
	}
	return g, nil
}

// Denied means that the token may not do what a reporter needs, or that GitHub
// does not have what it is about. It will not get better within this run.
type Denied struct {
	// Doing is what was attempted, such as "create a deployment".
	Doing string
	// Permission is what the job has to be given, such as "deployments: write".
	Permission string
	// Status is the HTTP status: 401, 403, 404, 410 or 422.
	Status int
	// Message is GitHub's own.
	Message string
}

// Error says what was refused and what GitHub said.
func (d *Denied) Error() string {
	message := strings.TrimRight(orElse(oneLine(d.Message, 300), http.StatusText(d.Status)), ".")
	return fmt.Sprintf("%s: GitHub answered %d (%s)", d.Doing, d.Status, message)
}

// hint says what to do about it.
func (d *Denied) hint() string {
	switch d.Status {
	case http.StatusUnauthorized:
		return "the token is not valid or has run out: check the input github-token"
	case http.StatusUnprocessableEntity:
		return "has the commit been pushed to this repository?"
	}
	return "give the job `permissions: " + d.Permission + "`; the token of a pull request from a fork may only read"
}

// do runs an operation and tries it again while that can help. It is the
// operation's own affair to find out whether an earlier attempt was done after
// all.
func (g *GitHub) do(ctx context.Context, doing, permission string, operation func(context.Context) error) error {
	var last error
	attempt := func() (struct{}, error) {
		last = operation(ctx)
		return struct{}{}, again(last)
	}
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval = g.firstWait
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pace), backoff.WithMaxTries(6), backoff.WithMaxElapsedTime(g.budget))
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: interrupted: %w", doing, last)
	}
	return explain(last, doing, permission)
}

// again sorts an error: permanent, to be tried after a time that GitHub named,
// or to be tried with back-off.
func again(err error) error {
	var limited *github.RateLimitError
	var slowDown *github.AbuseRateLimitError
	var refused *github.ErrorResponse
	switch {
	case err == nil:
		return nil
	case errors.As(err, &limited):
		return after(time.Until(limited.Rate.Reset.Time), err)
	case errors.As(err, &slowDown):
		return after(slowDown.GetRetryAfter(), err)
	case errors.As(err, &refused):
		return againAfterStatus(refused, err)
	}
	return err // the connection broke
}

func againAfterStatus(refused *github.ErrorResponse, err error) error {
	status := refused.Response.StatusCode
	switch {
	case status == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(refused.Response.Header.Get("Retry-After"))
		return after(time.Duration(seconds)*time.Second, err)
	case status >= 500:
		return err
	}
	return backoff.Permanent(err)
}

// after asks for another attempt once a rate limit is over, if that is worth
// waiting for.
func after(wait time.Duration, err error) error {
	if wait > time.Minute {
		return backoff.Permanent(err)
	}
	if wait <= 0 {
		return err
	}
	return &backoff.RetryAfterError{Duration: wait}
}

// explain turns an error of the library into a sentence with a hint.
func explain(err error, doing, permission string) error {
	var limited *github.RateLimitError
	var slowDown *github.AbuseRateLimitError
	var refused *github.ErrorResponse
	switch {
	case errors.As(err, &limited):
		return fmt.Errorf("%s: GitHub's rate limit for this token is used up until %s", doing, limited.Rate.Reset.UTC().Format(time.TimeOnly+" UTC"))
	case errors.As(err, &slowDown):
		return fmt.Errorf("%s: GitHub asks to slow down (secondary rate limit)", doing)
	case errors.As(err, &refused):
		return explainStatus(refused, doing, permission)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func explainStatus(refused *github.ErrorResponse, doing, permission string) error {
	status := refused.Response.StatusCode
	if status >= 500 || status == http.StatusTooManyRequests {
		return fmt.Errorf("%s: GitHub answered %d (%s), also when asked again", doing, status, http.StatusText(status))
	}
	denied := &Denied{Doing: doing, Permission: permission, Status: status, Message: refused.Message}
	return deploy.Hinted(denied, "%s", denied.hint())
}

// gone reports whether GitHub answered that it has no such thing.
func gone(err error) bool {
	var refused *github.ErrorResponse
	return errors.As(err, &refused) &&
		(refused.Response.StatusCode == http.StatusNotFound || refused.Response.StatusCode == http.StatusGone)
}
