package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/slipway-ci/slipway/deploy"
)

// Access is how a server is entered. The zero value is for one that is open.
type Access struct {
	// Token is sent as "Authorization: Bearer".
	Token deploy.Secret
	// User and Password are sent as basic authorization.
	User     string
	Password deploy.Secret
	// Headers are sent besides, such as X-Scope-OrgID. Who a server is entered as
	// is nobody else's business, so that they are secrets, too.
	Headers map[string]deploy.Secret
}

func (a Access) check() error {
	if a.Token.Reveal() != "" && a.User != "" {
		return deploy.Usage("leave one of them out", "there is a token and a user, and only one can be sent")
	}
	return nil
}

// scrub takes what is secret out of a text.
func (a Access) scrub(s string) string {
	secrets := []string{a.Token.Reveal(), a.Password.Reveal()}
	for _, header := range a.Headers {
		secrets = append(secrets, header.Reveal())
	}
	// The longest first: one may be a part of another.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

const (
	defaultTimeout = 10 * time.Second
	// largestAnswer that is read, in bytes.
	largestAnswer = 32 << 20
)

// parseAddress checks the address of a server. A password in it would be in
// every error.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, deploy.Usage("write it as http://prometheus.example.com:9090", "%q is not an address", withoutUser(address))
	case u.User != nil:
		return nil, deploy.Usage("keep user and password as secrets of their own", "the address of %s has a user in it", u.Host)
	}
	return u, nil
}

// withoutUser is an address that may be wrong, without what may be a password.
func withoutUser(address string) string {
	if _, after, found := strings.Cut(address, "@"); found {
		return "…@" + after
	}
	return shortened(address)
}

// statusError is an answer that is none.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string {
	if e.body == "" {
		return fmt.Sprintf("answered %d %s", e.code, http.StatusText(e.code))
	}
	return fmt.Sprintf("answered %d %s: %s", e.code, http.StatusText(e.code), e.body)
}

var errTooLarge = fmt.Errorf("the answer is larger than %d MiB", largestAnswer>>20)

// gate is a transport that enters one server, and reads no more of an answer
// than is sensible. Credentials go to that server alone, whatever it redirects
// to.
type gate struct {
	access Access
	host   string
	next   http.RoundTripper
	// fine are the statuses whose bodies mean something.
	fine func(code int) bool
}

// RoundTrip sends a copy of the request with what it takes to enter.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "slipway")
	if r.URL.Host == g.host {
		g.enter(r)
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if g.fine(resp.StatusCode) {
		resp.Body = &limited{resp.Body, largestAnswer}
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // what matters of it was read
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return nil, &statusError{resp.StatusCode, shortened(g.access.scrub(string(body)))}
}

func (g *gate) enter(r *http.Request) {
	for name, v := range g.access.Headers {
		r.Header.Set(name, v.Reveal())
	}
	switch {
	case g.access.Token.Reveal() != "":
		r.Header.Set("Authorization", "Bearer "+g.access.Token.Reveal())
	case g.access.User != "":
		r.SetBasicAuth(g.access.User, g.access.Password.Reveal())
	}
}

// limited is a body that ends in an error when it is too long.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	return n, err
}

// transport is one of our own, so that nothing is shared with others.
func transport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		ExpectContinueTimeout: time.Second,
	}
}

// Server is a Prometheus, or what speaks like one: Thanos, Mimir,
// VictoriaMetrics.
type Server struct {
	// Address is where /api/v1 lies below, such as http://prometheus:9090.
	Address string
	Access  Access
	// Timeout of one query; zero means ten seconds.
	Timeout time.Duration
}

// client asks a Prometheus.
type client struct {
	api     promapi.API
	server  Server
	address string
}

func newClient(s Server) (*client, error) {
	u, err := parseAddress(s.Address)
	if err != nil {
		return nil, err
	}
	if err := s.Access.check(); err != nil {
		return nil, err
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	// A wrong query and one that cannot be computed have a body that says why.
	says := func(code int) bool { return code/100 == 2 || code == 400 || code == 422 || code == 405 || code == 501 }
	c, err := api.NewClient(api.Config{
		Address: u.String(),
		Client: &http.Client{
			Transport: &gate{access: s.Access, host: u.Host, next: transport(), fine: says},
			Timeout:   s.Timeout,
		},
	})
	if err != nil {
		return nil, deploy.Usage("write it as http://prometheus.example.com:9090", "%q is not an address: %s", s.Address, err)
	}
	return &client{api: promapi.NewAPI(c), server: s, address: u.Redacted()}, nil
}

// ask has a query evaluated at a time. Zero is that of the server, so that its
// clock and ours may differ.
func (c *client) ask(ctx context.Context, metric, query string, at time.Time) (model.Value, error) {
	return c.answer(ctx, metric, query, func(ctx context.Context) (model.Value, promapi.Warnings, error) {
		return c.api.Query(ctx, query, at)
	})
}

// askRange has a query evaluated at many times.
func (c *client) askRange(ctx context.Context, metric, query string, r promapi.Range) (model.Value, error) {
	return c.answer(ctx, metric, query, func(ctx context.Context) (model.Value, promapi.Warnings, error) {
		return c.api.QueryRange(ctx, query, r)
	})
}

func (c *client) answer(ctx context.Context, metric, query string, ask func(context.Context) (model.Value, promapi.Warnings, error)) (model.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, c.server.Timeout)
	defer cancel()
	v, warnings, err := ask(ctx)
	if err == nil && len(warnings) > 0 {
		err = &partial{warnings}
	}
	if err != nil {
		return nil, c.failed(ctx, metric, query, err)
	}
	return v, nil
}

// partial is an answer with warnings: a part of the data may be missing from it.
type partial struct{ warnings []string }

func (p *partial) Error() string {
	return "the answer may not be whole: " + shortened(strings.Join(p.warnings, "; "))
}

// QueryError is a question that a Prometheus did not answer.
type QueryError struct {
	// Metric is the name of the metric, empty for all traffic.
	Metric string
	// Query is the PromQL that was sent; Server is the address it was sent to.
	Query, Server string
	// Temporary says that the next attempt may succeed.
	Temporary bool
	Err       error
}

// Error names the query and what is wrong.
func (e *QueryError) Error() string {
	return fmt.Sprintf("%s: Prometheus at %s: %s, asked for %s", Query{Name: e.Metric}.label(), e.Server, e.Err, shortened(e.Query))
}

// Unwrap gives what is wrong.
func (e *QueryError) Unwrap() error { return e.Err }

// failed says what is wrong with a query and what to do.
func (c *client) failed(ctx context.Context, metric, query string, err error) error {
	temporary, hint := true, ""
	var status *statusError
	var said *promapi.Error
	var incomplete *partial
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		err = fmt.Errorf("timed out after %s", c.server.Timeout)
		hint = "make the query cheaper, or give it a longer timeout"
	case ctx.Err() != nil:
		err, hint = fmt.Errorf("interrupted: %w", context.Cause(ctx)), ""
	case errors.As(err, &incomplete):
		err, hint = incomplete, "counting goes on when the answer is whole; look at the stores behind it"
	case errors.Is(err, errTooLarge):
		temporary, err, hint = false, errTooLarge, "select fewer series"
	case errors.As(err, &status):
		err = status
		temporary, hint = status.advice()
	case errors.As(err, &said):
		temporary, hint = adviceOn(said)
		err = errors.New(c.server.Access.scrub(saidBy(said)))
	case isNetwork(err):
		err = errors.New(c.server.Access.scrub(innermost(err)))
		hint = "look at whether the address is right and reachable from here"
	default:
		temporary, err = false, errors.New("this is not an answer of Prometheus that can be used: "+c.server.Access.scrub(shortened(err.Error())))
		hint = "look at the query, at the address, and at what lies in front of it"
	}
	return deploy.Hinted(&QueryError{Metric: metric, Query: query, Server: c.address, Temporary: temporary, Err: err}, "%s", hint)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// isNetwork says whether there was no whole answer.
func isNetwork(err error) bool {
	var at *url.Error
	var broken net.Error
	return errors.As(err, &at) || errors.As(err, &broken) || errors.Is(err, io.ErrUnexpectedEOF)
}

// innermost is the message without the request that it happened to.
func innermost(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	return shortened(err.Error())
}

func (e *statusError) advice() (temporary bool, hint string) {
	switch {
	case e.code == http.StatusUnauthorized:
		return false, "give it a token, or a user and a password, by secrets"
	case e.code == http.StatusForbidden:
		return false, "use a token that may read metrics"
	case e.code == http.StatusNotFound:
		return false, "the address is the one that /api/v1 lies below"
	case e.code == http.StatusTooManyRequests:
		return true, "ask it less often"
	case e.code/100 == 3:
		return false, "give the address that it redirects to"
	case e.code/100 == 4:
		return false, "look at the address and at what lies in front of it"
	}
	return true, "look at whether it runs, and at its log"
}

// saidBy is what Prometheus says of a query.
func saidBy(e *promapi.Error) string {
	switch e.Type {
	case promapi.ErrBadData:
		return shortened(e.Msg)
	case promapi.ErrBadResponse:
		return "this is not an answer of Prometheus: " + shortened(e.Msg)
	}
	return shortened(e.Error())
}

func adviceOn(e *promapi.Error) (temporary bool, hint string) {
	switch {
	case e.Type == promapi.ErrBadData && strings.Contains(e.Msg, "ranges only allowed"):
		return false, "requests, errors and latency are selectors, such as web_requests_total{version=\"1\"}, without functions; write anything else as a value"
	case e.Type == promapi.ErrBadData:
		return false, "try the query in its web page"
	case e.Type == promapi.ErrExec:
		return false, "make the query cheaper: select fewer series"
	case e.Type == promapi.ErrBadResponse:
		return false, "look at the address and at what lies in front of it"
	}
	return true, "look at whether it runs, and at its log"
}
