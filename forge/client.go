package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
)

// Options say how GitHub is reached. Token and Repository are required.
type Options struct {
	// APIURL is where the REST API answers, such as https://api.github.com,
	// which is also the default; GITHUB_API_URL names it on a runner. A user and
	// a password in it are left out: the Token counts.
	APIURL string
	// Repository is owner/name.
	Repository string
	Token      string
	// Transport makes the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Budget bounds each operation with all of its attempts and the waits
	// between them; 0 means 60s.
	Budget time.Duration
	// RequestLimit bounds one attempt; 0 means 10s.
	RequestLimit time.Duration
	// FirstWait is how long the first wait before another attempt is, each
	// further one longer; 0 means 500ms. Where GitHub asks to slow down and does
	// not say for how long, the wait is twenty times as long.
	FirstWait time.Duration
}

// Client talks to one repository. It may be used from several goroutines.
type Client struct {
	// API is the library's client, for what is within an operation of Do.
	API *github.Client
	// Owner and Name are the repository's.
	Owner, Name string

	counter   *counter
	reviews   reviews
	token     string
	budget    time.Duration
	limit     time.Duration
	firstWait time.Duration
	// down: the last operation failed in spite of all of its attempts. Until one
	// gets through, each has one attempt, so that a run does not wait for a
	// GitHub that is away.
	down atomic.Bool
	// closed is the rate limit that goes on for longer than anybody waits; nil
	// while there is none. No request is made until it is over.
	closed atomic.Pointer[rateLimit]
}

// Attempts bounds how often an operation is tried.
const Attempts = 6

// New makes a client. A repository or an address that cannot be is a usage
// error.
func New(o Options) (*Client, error) {
	owner, name, ok := strings.Cut(o.Repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, deploy.Usage("it has the form owner/name; GITHUB_REPOSITORY names it on a runner", "%q is not a GitHub repository", o.Repository)
	}
	base, err := url.Parse(strings.TrimSuffix(orElse(o.APIURL, "https://api.github.com"), "/") + "/")
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, deploy.Usage("it is like https://api.github.com; GITHUB_API_URL names it on a runner", "the address of GitHub's API is not one of the web")
	}
	base.User = nil
	c := &Client{
		Owner: owner, Name: name, token: o.Token,
		budget:    orDefault(o.Budget, time.Minute),
		limit:     orDefault(o.RequestLimit, 10*time.Second),
		firstWait: orDefault(o.FirstWait, 500*time.Millisecond),
	}
	c.counter = &counter{next: o.Transport}
	if o.Transport == nil {
		c.counter.next = http.DefaultTransport
	}
	transport := resetless{&memory{next: c.counter, kept: map[string]kept{}}}
	client := &http.Client{Transport: transport, Timeout: c.limit, CheckRedirect: stay(base)}
	c.API = github.NewClient(client).WithAuthToken(o.Token)
	c.API.BaseURL = base
	c.API.UserAgent = "slipway"
	return c, nil
}

// Installation reports whether the token is one of an app's installation, as a
// job's own is: it belongs to no user, and may not ask who it is. See
// https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/
func (c *Client) Installation() bool { return strings.HasPrefix(c.token, "ghs_") }

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// resetless leaves out when the token's limit begins anew while there is some
// of it left: the library would take that for the end of a secondary limit.
type resetless struct{ next http.RoundTripper }

// RoundTrip makes a request.
func (t resetless) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err == nil && answer.Header.Get("X-RateLimit-Remaining") != "0" {
		answer.Header.Del("X-RateLimit-Reset")
	}
	return answer, err
}

var (
	errElsewhere = errors.New("it redirects to where a token must not go")
	errNoLimit   = errors.New("read the rate limit: GitHub does not tell it")
)

// stay follows the redirects of a repository that was renamed, which GitHub
// answers with the same method at the same host, and no others: the library
// sends the token along.
func stay(base *url.URL) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, before []*http.Request) error {
		if len(before) > 3 || next.Method != before[0].Method || next.URL.Host != base.Host || next.URL.Scheme != base.Scheme {
			return errElsewhere
		}
		return nil
	}
}

// Do runs an operation, which doing names, such as "create a deployment", and
// tries it again while that can help: after answers of 5xx, broken connections
// and rate limits, within the Budget. It is the operation's own affair to find
// out whether an earlier attempt was done after all. What GitHub refuses for
// good is a *Denied, whose hint names the permission, such as
// "deployments: write".
func (c *Client) Do(ctx context.Context, doing, permission string, operation func(context.Context) error) error {
	if l := c.closed.Load(); l != nil && time.Now().Before(l.until) {
		return fmt.Errorf("%s: %s", doing, l)
	}
	var last error
	attempt := func() (struct{}, error) {
		last = operation(ctx)
		return struct{}{}, c.again(last)
	}
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval = c.firstWait
	tries := uint(Attempts)
	if c.down.Load() {
		tries = 1
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pace), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(c.budget))
	switch {
	case err == nil:
		c.down.Store(false)
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: interrupted", doing)
	}
	return c.explain(last, doing, permission)
}

// again sorts an error: permanent, to be tried after a time that GitHub named,
// or to be tried with back-off.
func (c *Client) again(err error) error {
	if err == nil {
		return nil
	}
	if l := limitOf(err); l != nil {
		wait := 20 * c.firstWait
		if !l.until.IsZero() {
			wait = max(0, time.Until(l.until))
		}
		return &backoff.RetryAfterError{Duration: wait}
	}
	if r := refusalOf(err); r != nil && r.status < 500 || errors.Is(err, errElsewhere) {
		return backoff.Permanent(err)
	}
	return err // GitHub's own trouble, or the connection broke
}
