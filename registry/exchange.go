package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-ci/slipway/deploy"
)

// Exchange is the keychain of one registry, without a password that anybody
// keeps: a token that says who is asking, such as that of a job, is exchanged
// for one that the registry takes as a password and that soon runs out. It is
// OAuth 2.0 Token Exchange, RFC 8693.
//
// It may be used from several goroutines, and must not be copied. Other
// registries are anonymous to it.
type Exchange struct {
	// Host is the registry, with its port if it has one, such as
	// europe-docker.pkg.dev.
	Host string
	// URL is where tokens are exchanged. It has to be https, but for this
	// machine.
	URL string
	// Audience is whom the token is issued for, and what the exchange is asked
	// for.
	Audience string
	// Username goes with the password.
	Username string
	// Scope is what the password shall allow, separated by spaces; may be empty.
	Scope string
	// Token gets the token to be exchanged, a JWT.
	Token func(ctx context.Context, audience string) (string, error)
	// Hide is told of each password before it is used, so that it is shown
	// nowhere; may be nil.
	Hide func(password string)
	// Transport carries the request; nil is one of its own, which heeds the
	// proxy settings of the process.
	Transport http.RoundTripper

	mu sync.Mutex
	// account is what the registry takes until it has to be renewed.
	account authn.Authenticator
	until   time.Time
	agent   *http.Client
	// now is the clock; nil is time.Now.
	now func() time.Time
}

var (
	_ authn.Keychain        = (*Exchange)(nil)
	_ authn.ContextKeychain = (*Exchange)(nil)
)

const (
	// exchangeLimit bounds getting a password, exchangeTries how often it is
	// asked for.
	exchangeLimit = time.Minute
	exchangeTries = 3
	// renewal is how long before its end a password is renewed, so that it does
	// not run out in the middle of an upload.
	renewal = 5 * time.Minute
	// maxAnswer is more than any token has, in bytes.
	maxAnswer = 1 << 20
)

// LoginError means that a registry could not be logged in to: it was not asked
// for anything yet.
type LoginError struct {
	// Host is the registry.
	Host string
	// Err is the reason.
	Err error
}

// Error names the registry and the reason.
func (l *LoginError) Error() string { return fmt.Sprintf("log in to %s: %v", l.Host, l.Err) }

// Unwrap gives the reason.
func (l *LoginError) Unwrap() error { return l.Err }

// Resolve is ResolveContext, bounded by its own limits alone.
func (e *Exchange) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return e.ResolveContext(context.Background(), target)
}

// ResolveContext gives the account of the registry. It is kept until the
// password has 5 minutes left, or half of its time where that is less; one that
// does not say how long it lasts is used once. Its error is a *LoginError.
func (e *Exchange) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if target.RegistryStr() != e.Host {
		return authn.Anonymous, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.account != nil && e.clock().Before(e.until) {
		return e.account, nil
	}
	asked := e.clock()
	granted, err := e.exchange(ctx)
	if err != nil {
		return nil, &LoginError{Host: e.Host, Err: err}
	}
	if e.Hide != nil {
		e.Hide(granted.AccessToken)
	}
	e.account = authn.FromConfig(authn.AuthConfig{Username: e.Username, Password: granted.AccessToken})
	e.until = asked.Add(granted.usable())
	return e.account, nil
}

func (e *Exchange) clock() time.Time {
	if e.now == nil {
		return time.Now()
	}
	return e.now()
}

// grant is a successful answer, as RFC 8693 section 2.2.1 has it.
type grant struct {
	AccessToken string `json:"access_token"`
	// ExpiresIn is in seconds; the RFC recommends it, and does not require it.
	ExpiresIn json.Number `json:"expires_in"`
}

// usable is how long from now on the password may be handed out.
func (g grant) usable() time.Duration {
	seconds, err := g.ExpiresIn.Float64()
	if err != nil || seconds <= 0 {
		return 0
	}
	life := time.Duration(min(seconds, (24*time.Hour).Seconds()) * float64(time.Second))
	return life - min(renewal, life/2)
}

// exchange gets a token and has it exchanged.
func (e *Exchange) exchange(ctx context.Context) (grant, error) {
	where, err := e.address()
	if err != nil {
		return grant{}, err
	}
	ctx, cancel := limited(ctx, exchangeLimit, where.Host)
	defer cancel()
	token, err := e.Token(ctx, e.Audience)
	if err != nil {
		return grant{}, err
	}
	attempt := func() (grant, error) { return e.ask(ctx, where, token) }
	granted, err := backoff.Retry(ctx, attempt, backoff.WithMaxTries(exchangeTries))
	if err == nil {
		return granted, nil
	}
	return grant{}, e.failure(ctx, err)
}

// failure adds what to do to an error that does not say it.
func (e *Exchange) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = interruption(ctx)
	}
	err = fmt.Errorf("exchange the token: %w", err)
	if deploy.HintOf(err) != "" {
		return err
	}
	return deploy.Hinted(err, "check login.exchange, and that this machine reaches it: %s", e.URL)
}

// address is where to ask. A token is not sent where others can read it.
func (e *Exchange) address() (*url.URL, error) {
	const hint = "write an address such as https://sts.googleapis.com/v1/token in login.exchange"
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" {
		return nil, deploy.Usage(hint, "%q is no address to exchange a token at", e.URL)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Host)) {
		return nil, deploy.Usage(hint, "a token is exchanged over https alone, and %s is not", u.Redacted())
	}
	return u, nil
}

// ask sends one request. What will not go away by itself is permanent.
func (e *Exchange) ask(ctx context.Context, where *url.URL, token string) (grant, error) {
	form := url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token":        {token},
		"audience":             {e.Audience},
	}
	if e.Scope != "" {
		form.Set("scope", e.Scope)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, where.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return grant{}, backoff.Permanent(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "slipway")
	answer, err := e.client().Do(request)
	if err != nil {
		return grant{}, bare(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return grant{}, err
	}
	if answer.StatusCode != http.StatusOK {
		return grant{}, e.refusal(answer.StatusCode, body, token)
	}
	return granted(body)
}

// client follows no redirect: it would take the token along.
func (e *Exchange) client() *http.Client {
	if e.agent != nil {
		return e.agent
	}
	e.agent = &http.Client{
		Transport:     e.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if e.Transport == nil {
		e.agent.Transport = newTransport()
	}
	return e.agent
}

// bare is what went wrong on the way, without the address.
func bare(err error) error {
	var way *url.Error
	if errors.As(err, &way) {
		return way.Err
	}
	return err
}

// granted reads a successful answer. What is wrong with it is said without it.
func granted(body []byte) (grant, error) {
	var g grant
	if err := json.Unmarshal(body, &g); err != nil {
		return grant{}, backoff.Permanent(errors.New("the answer is not that of a token exchange (RFC 8693)"))
	}
	if g.AccessToken == "" {
		return grant{}, backoff.Permanent(errors.New("the answer has no access_token"))
	}
	return g, nil
}

// refusal is an answer other than success, with what to do about it.
func (e *Exchange) refusal(status int, body []byte, token string) error {
	var said struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &said) // what says nothing is told by its status
	err := fmt.Errorf("the answer was %d%s", status, inOneLine(token, said.Code, said.Description))
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		return deploy.Hinted(err, "look at the status of %s, and run it again", e.URL)
	}
	return backoff.Permanent(deploy.Hinted(err, "%s", e.hint(status, said.Code)))
}

// inOneLine joins what was said, without the token that it may repeat.
func inOneLine(token string, parts ...string) string {
	text := strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
	text = strings.ReplaceAll(text, token, "***")
	if text == "" {
		return ""
	}
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return ": " + text
}

// hint knows the codes of RFC 6749 section 5.2 and RFC 8693 section 2.2.2.
func (e *Exchange) hint(status int, code string) string {
	switch {
	case status >= 300 && status < 400:
		return "a token is not sent on to another address: write the one that answers in login.exchange"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "check login.exchange: tokens are not exchanged at " + e.URL
	case code == "invalid_target":
		return "check login.audience: " + e.Audience
	case code == "invalid_scope":
		return "check login.scope: " + e.Scope
	}
	return "check login.audience, and that whoever issues tokens there trusts " +
		"https://token.actions.githubusercontent.com for this repository, ref and environment"
}
