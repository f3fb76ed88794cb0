package forge

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
)

// Denied means that the token may not do what was attempted, or that GitHub
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

// ForGood reports whether it is the token that is refused, not one thing.
func (d *Denied) ForGood() bool {
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
	case d.ForGood():
		return "give the job `permissions: {" + d.Permission + "}`; the token of a pull request from a fork may only read"
	case strings.HasPrefix(d.Message, "No ref found"), strings.HasPrefix(d.Message, "No commit found"):
		return "push the commit to this repository first"
	}
	return ""
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
func (c *Client) explain(err error, doing, permission string) error {
	if l := limitOf(err); l != nil {
		c.down.Store(true)
		c.closed.Store(l)
		return fmt.Errorf("%s: %s", doing, l)
	}
	r := refusalOf(err)
	if r == nil {
		c.down.Store(true)
		return &unreachable{text: c.mask(doing + ": " + c.silence(err)), err: err}
	}
	if r.status >= 500 {
		c.down.Store(true)
		return fmt.Errorf("%s: GitHub answered %d (%s), also when asked again", doing, r.status, http.StatusText(r.status))
	}
	c.down.Store(false)
	denied := &Denied{Doing: doing, Permission: permission, Status: r.status, Message: c.mask(r.message)}
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
func (c *Client) silence(err error) string {
	var slow net.Error
	var request *url.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Sprintf("GitHub did not answer within %s", c.limit)
	case errors.As(err, &request):
		return "GitHub cannot be reached: " + oneLine(request.Err.Error(), 300)
	}
	return "GitHub's answer cannot be read: " + oneLine(err.Error(), 300)
}

// mask hides the token, which no message of ours holds, but one of a proxy may.
func (c *Client) mask(s string) string {
	if c.token == "" {
		return s
	}
	return strings.ReplaceAll(s, c.token, "***")
}

// Gone reports whether GitHub answered that it has no such thing.
func Gone(err error) bool {
	r := refusalOf(err)
	return r != nil && (r.status == http.StatusNotFound || r.status == http.StatusGone)
}

// Refused reports whether GitHub has answered within an operation that it does
// not do this, and would say so again: no limit, no trouble of its own.
func Refused(err error) bool {
	r := refusalOf(err)
	return r != nil && r.status < http.StatusInternalServerError && limitOf(err) == nil
}

// orElse is a text, or another one where it is empty.
func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// oneLine makes a line of a text from elsewhere, of at most limit characters.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	line := []rune(strings.Join(strings.Fields(s), " "))
	if len(line) > limit {
		return string(line[:limit-1]) + "…"
	}
	return string(line)
}
