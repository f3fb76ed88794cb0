package report

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
)

// GitHubOptions say how GitHub is reached. Token and Repository are required.
type GitHubOptions struct {
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

// GitHub talks to one repository. Answers of 5xx, broken connections and rate
// limits are tried again, within a limit. It may be used from several
// goroutines.
type GitHub struct {
	api         *github.Client
	owner, name string
	token       string
	budget      time.Duration
	limit       time.Duration
	firstWait   time.Duration
	// down: the last operation failed in spite of all of its attempts. Until one
	// gets through, each has one attempt, so that a run does not wait for a
	// GitHub that is away.
	down atomic.Bool
	// closed is the rate limit that goes on for longer than anybody waits; nil
	// while there is none. No request is made until it is over.
	closed atomic.Pointer[rateLimit]
}

// attempts bounds how often an operation is tried.
const attempts = 6

// NewGitHub makes a client. A repository or an address that cannot be is a
// usage error.
func NewGitHub(o GitHubOptions) (*GitHub, error) {
	owner, name, ok := strings.Cut(o.Repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, deploy.Usage("it has the form owner/name; GITHUB_REPOSITORY names it on a runner", "%q is not a GitHub repository", o.Repository)
	}
	base, err := url.Parse(strings.TrimSuffix(orElse(o.APIURL, "https://api.github.com"), "/") + "/")
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, deploy.Usage("it is like https://api.github.com; GITHUB_API_URL names it on a runner", "the address of GitHub's API is not one of the web")
	}
	base.User = nil
	g := &GitHub{
		owner: owner, name: name, token: o.Token,
		budget:    orDefault(o.Budget, time.Minute),
		limit:     orDefault(o.RequestLimit, 10*time.Second),
		firstWait: orDefault(o.FirstWait, 500*time.Millisecond),
	}
	client := &http.Client{Transport: resetless{o.Transport}, Timeout: g.limit, CheckRedirect: stay(base)}
	g.api = github.NewClient(client).WithAuthToken(o.Token)
	g.api.BaseURL = base
	g.api.UserAgent = "slipway"
	return g, nil
}

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
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err == nil && answer.Header.Get("X-RateLimit-Remaining") != "0" {
		answer.Header.Del("X-RateLimit-Reset")
	}
	return answer, err
}

var errElsewhere = errors.New("it redirects to where a token must not go")

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

// Denied means that the token may not do what a reporter needs, or that GitHub
// does not have or take what it is about. It will not get better within this
// run.
type Denied struct {
	// Doing is what was attempted, such as "create a deployment".
	Doing string
	// Permission is what the job has to be given, such as "deployments: write".
	Permission string
	// Status is the HTTP status: 4xx, such as 401, 403, 404, 410 or 422.
	Status int
	// Message is GitHub's own.
	Message string
}

// Error says what was refused and what GitHub said.
func (d *Denied) Error() string {
	message := strings.TrimRight(orElse(oneLine(d.Message, 300), http.StatusText(d.Status)), ".")
	return fmt.Sprintf("%s: GitHub answered %d (%s)", d.Doing, d.Status, message)
}

// forGood reports whether it is the token that is refused, not one thing.
func (d *Denied) forGood() bool {
	switch d.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return false
}

// hint says what to do about it; empty where nobody knows.
func (d *Denied) hint() string {
	switch {
	case d.Status == http.StatusUnauthorized:
		return "the token is not valid or has run out: check the input github-token"
	case d.forGood():
		return "give the job `permissions: {" + d.Permission + "}`; the token of a pull request from a fork may only read"
	case strings.HasPrefix(d.Message, "No ref found"), strings.HasPrefix(d.Message, "No commit found"):
		return "push the commit to this repository first"
	}
	return ""
}

// do runs an operation and tries it again while that can help. It is the
// operation's own affair to find out whether an earlier attempt was done after
// all.
func (g *GitHub) do(ctx context.Context, doing, permission string, operation func(context.Context) error) error {
	if l := g.closed.Load(); l != nil && time.Now().Before(l.until) {
		return fmt.Errorf("%s: %s", doing, l)
	}
	var last error
	attempt := func() (struct{}, error) {
		last = operation(ctx)
		return struct{}{}, g.again(last)
	}
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval = g.firstWait
	tries := uint(attempts)
	if g.down.Load() {
		tries = 1
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pace), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(g.budget))
	switch {
	case err == nil:
		g.down.Store(false)
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: interrupted", doing)
	}
	return g.explain(last, doing, permission)
}

// again sorts an error: permanent, to be tried after a time that GitHub named,
// or to be tried with back-off.
func (g *GitHub) again(err error) error {
	if err == nil {
		return nil
	}
	if l := limitOf(err); l != nil {
		wait := 20 * g.firstWait
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

// refusal is what GitHub answered to what failed.
type refusal struct {
	status  int
	header  http.Header
	message string
}

// refusalOf is GitHub's answer; nil when none came.
func refusalOf(err error) *refusal {
	refused, ok := errors.AsType[*github.ErrorResponse](err)
	if !ok || refused.Response == nil {
		return nil
	}
	message := refused.Message
	for _, detail := range refused.Errors {
		message += ": " + orElse(detail.Message, detail.Field+" "+detail.Code)
	}
	return &refusal{refused.Response.StatusCode, refused.Response.Header, message}
}

// rateLimit is one that was met.
type rateLimit struct {
	// primary: the token's requests for this hour are used up.
	primary bool
	// until when GitHub asks to wait; zero where it does not say.
	until time.Time
}

// limitOf recognises rate limits as
// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
// describes them: 403 or 429, with Retry-After, else with a reset where nothing
// remains, else with a word about it. The library knows only some of them.
func limitOf(err error) *rateLimit {
	if used, ok := errors.AsType[*github.RateLimitError](err); ok {
		return &rateLimit{primary: true, until: used.Rate.Reset.Time}
	}
	if slowDown, ok := errors.AsType[*github.AbuseRateLimitError](err); ok {
		return limitFor(slowDown.GetRetryAfter())
	}
	r := refusalOf(err)
	if r == nil || r.status != http.StatusForbidden && r.status != http.StatusTooManyRequests {
		return nil
	}
	if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err == nil {
		return limitFor(time.Duration(seconds) * time.Second)
	}
	if reset, err := strconv.ParseInt(r.header.Get("X-RateLimit-Reset"), 10, 64); err == nil && r.header.Get("X-RateLimit-Remaining") == "0" {
		return &rateLimit{primary: true, until: time.Unix(reset, 0)}
	}
	if r.status == http.StatusTooManyRequests || strings.Contains(r.message, "secondary rate limit") {
		return &rateLimit{}
	}
	return nil
}

// limitFor is a secondary limit for a while, or for nobody knows how long.
func limitFor(wait time.Duration) *rateLimit {
	if wait <= 0 {
		return &rateLimit{}
	}
	return &rateLimit{until: time.Now().Add(wait)}
}

// explain turns an error of the library into a sentence with a hint.
func (g *GitHub) explain(err error, doing, permission string) error {
	if l := limitOf(err); l != nil {
		g.down.Store(true)
		g.closed.Store(l)
		return fmt.Errorf("%s: %s", doing, l)
	}
	r := refusalOf(err)
	if r == nil {
		g.down.Store(true)
		return &unreachable{text: g.mask(doing + ": " + g.silence(err)), err: err}
	}
	if r.status >= 500 {
		g.down.Store(true)
		return fmt.Errorf("%s: GitHub answered %d (%s), also when asked again", doing, r.status, http.StatusText(r.status))
	}
	g.down.Store(false)
	denied := &Denied{Doing: doing, Permission: permission, Status: r.status, Message: g.mask(r.message)}
	return deploy.Hinted(denied, "%s", denied.hint())
}

// String says which limit it is.
func (l *rateLimit) String() string {
	until := l.until.UTC().Format("15:04 UTC")
	switch {
	case l.primary:
		return "GitHub's rate limit for this token is used up until " + until
	case !l.until.IsZero():
		return "GitHub asks to slow down until " + until + " (secondary rate limit)"
	}
	return "GitHub asks to slow down (secondary rate limit), also when asked again later"
}

// unreachable is an error without an answer from GitHub, in words that hold no
// address with credentials.
type unreachable struct {
	text string
	err  error
}

// Error says what was attempted and why it did not get there.
func (u *unreachable) Error() string { return u.text }

// Unwrap gives the cause.
func (u *unreachable) Unwrap() error { return u.err }

// silence says why no answer came.
func (g *GitHub) silence(err error) string {
	var slow net.Error
	var request *url.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Sprintf("GitHub did not answer within %s", g.limit)
	case errors.As(err, &request):
		return "GitHub cannot be reached: " + oneLine(request.Err.Error(), 300)
	}
	return "GitHub's answer cannot be read: " + oneLine(err.Error(), 300)
}

// mask hides the token, which no message of ours holds, but one of a proxy may.
func (g *GitHub) mask(s string) string {
	if g.token == "" {
		return s
	}
	return strings.ReplaceAll(s, g.token, "***")
}

// gone reports whether GitHub answered that it has no such thing.
func gone(err error) bool {
	r := refusalOf(err)
	return r != nil && (r.status == http.StatusNotFound || r.status == http.StatusGone)
}
