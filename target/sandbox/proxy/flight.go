package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// flight is one request on its way through the proxy. It is the transport of
// its own ReverseProxy, so that what it learns on the way needs neither a
// context nor a wrapped ResponseWriter. Flights are used again.
type flight struct {
	router *Router
	proxy  httputil.ReverseProxy

	req      *http.Request
	revision string // not empty: this revision only, and not counted
	began    time.Time
	position int  // of the user; -1 until one is needed
	placed   bool // the position is new and has to be kept by the user
	table    *table
	arm      *arm
	backend  *backend
	tried    []*backend
	upload   *upload
	answer   answer
	counted  bool
	result   result
}

// newFlight wires a flight to its ReverseProxy, once.
func newFlight(r *Router) *flight {
	f := &flight{router: r}
	f.proxy = httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      f,
		BufferPool:     buffers{},
		ErrorLog:       r.proxies,
		ModifyResponse: f.answered,
		ErrorHandler:   f.failed,
	}
	return f
}

// begin takes up a request; a revision that is not empty is the only one that
// may answer it.
func (f *flight) begin(req *http.Request, revision string) {
	clear(f.tried)
	*f = flight{
		router: f.router, proxy: f.proxy, tried: f.tried[:0],
		req: req, revision: revision, began: time.Now(), position: -1,
	}
}

// serve finds a backend and hands the request to it.
func (f *flight) serve(w http.ResponseWriter, req *http.Request) {
	if err := f.board(); err != nil {
		f.failed(w, req, err)
		return
	}
	if req.ContentLength != 0 {
		// Or net/http would swallow a part of the body once the answer begins,
		// and apps that answer while they read would lose it. Where it is not
		// supported, it is not needed.
		_ = http.NewResponseController(w).EnableFullDuplex()
		// ReverseProxy closes the body of the request that it gets, and then
		// hearOut could not read on.
		req = req.WithContext(req.Context())
		req.Body = io.NopCloser(req.Body)
	}
	f.proxy.ServeHTTP(w, req)
}

// end counts the request in and lets go of its backend.
func (f *flight) end() {
	if f.answer.cut && f.req.Context().Err() == nil {
		f.result = lost
	}
	f.count()
	if f.backend != nil {
		f.backend.release()
	}
	f.req, f.upload, f.table, f.arm, f.backend, f.answer = nil, nil, nil, nil, nil, answer{}
}

// count counts the request once, if it is a user's and has found its arm.
func (f *flight) count() {
	if f.counted || f.revision != "" || f.arm == nil {
		return
	}
	f.counted = true
	f.arm.traffic.count(f.result, time.Since(f.began))
	f.arm.spread.count(f.position, f.result)
}

// board takes a seat at a backend of the right arm that was not tried yet. The
// seat is taken first and the table looked at again afterwards: either Idle,
// called after Set, sees the seat, or this sees the new table and moves on.
func (f *flight) board() error {
	for {
		f.table = f.router.table.Load()
		if err := f.choose(); err != nil {
			return err
		}
		b := pick(f.arm.backends, f.tried)
		if b == nil {
			return &noBackend{revision: f.arm.revision, tried: len(f.tried)}
		}
		b.acquire()
		if f.router.table.Load() == f.table {
			f.backend = b
			return nil
		}
		b.release()
	}
}

// choose finds the arm in the table.
func (f *flight) choose() error {
	if f.revision != "" {
		if f.arm = f.table.find(f.revision); f.arm == nil {
			return &noBackend{revision: f.revision}
		}
		return nil
	}
	if !f.table.open {
		f.arm = nil
		return errNoUsers
	}
	f.arm = f.table.at(f.place())
	return nil
}

// place is the user's position: nobody needs one while all go the same way.
func (f *flight) place() int {
	if !f.table.split {
		return 0
	}
	if f.position < 0 {
		f.position = positionOf(f.req, f.router.options.Cookie)
	}
	if f.position < 0 {
		f.position, f.placed = rand.IntN(positions), true //nolint:gosec // G404: users may choose their side by the cookie anyway
	}
	return f.position
}

// positionOf reads the position from the cookie, -1 when it has none that is
// valid.
func positionOf(req *http.Request, cookie string) int {
	for _, c := range req.CookiesNamed(cookie) {
		n, err := strconv.Atoi(c.Value)
		if err == nil && n >= 0 && n < positions && strconv.Itoa(n) == c.Value {
			return n
		}
	}
	return -1
}

// rewrite addresses the copy that goes to the backend. Host and query stay as
// they came; what a client says of whom it forwards for is not believed.
func rewrite(pr *httputil.ProxyRequest) {
	pr.Out.URL.Scheme = "http"
	pr.Out.URL.Host = "backend" // the backend's transport knows where it is
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.SetXForwarded()
}

// RoundTrip sends the request to the backend it has a seat at, and to another
// one of the arm as long as no connection comes about.
func (f *flight) RoundTrip(out *http.Request) (*http.Response, error) {
	if out.Body != nil {
		f.upload = &upload{from: out.Body, in: f.req.Trailer, out: out.Trailer}
		out.Body = f.upload
	}
	for {
		res, err := f.backend.transport.RoundTrip(out)
		if err == nil {
			f.backend.markUp()
			return res, nil
		}
		if !isDial(err) || out.Context().Err() != nil {
			return nil, err
		}
		if none := f.next(err); none != nil {
			return nil, fmt.Errorf("%w: %w", none, err)
		}
	}
}

// next leaves a backend that could not be connected to for another one.
func (f *flight) next(err error) error {
	b := f.backend
	if b.markDown(time.Now()) {
		f.router.log.Warn("replica cannot be connected to", "revision", f.arm.revision, "backend", b.ID, "error", err)
	}
	f.tried = append(f.tried, b)
	f.backend = nil
	b.release()
	return f.board()
}

// answered marks the answer, and watches over the rest of it.
func (f *flight) answered(res *http.Response) error {
	res.Header.Set(RevisionHeader, f.arm.revision)
	if res.StatusCode != http.StatusSwitchingProtocols {
		f.upload.closeUnread(res.Header)
	}
	if f.placed {
		res.Header.Add("Set-Cookie", f.cookie())
	}
	if res.StatusCode >= http.StatusInternalServerError {
		f.result = failed
	}
	if endless(res) {
		f.count()
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		f.answer = answer{from: res.Body}
		res.Body = &f.answer
	}
	return nil
}

// cookie keeps the position at the user for the session.
func (f *flight) cookie() string {
	c := http.Cookie{ //nolint:gosec // G124: not Secure, because the sandbox speaks plain HTTP on loopback
		Name: f.router.options.Cookie, Value: strconv.Itoa(f.position),
		Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	return c.String()
}

// endless reports whether an answer ends when somebody likes, and not when it
// is complete.
func endless(res *http.Response) bool {
	return res.StatusCode == http.StatusSwitchingProtocols ||
		strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// failed answers a request that no backend answered.
func (f *flight) failed(w http.ResponseWriter, req *http.Request, err error) {
	status := f.status(req, err)
	if status >= http.StatusInternalServerError && f.arm != nil {
		f.result = lost
		f.router.log.Debug("request lost", "revision", f.arm.revision, "status", status, "error", err)
	}
	h := w.Header()
	if f.arm != nil {
		h.Set(RevisionHeader, f.arm.revision)
	}
	f.upload.closeUnread(h)
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s: %s\n", f.router.name, f.message(err)) // the client may be gone
}

// status is the answer that fits an error; 400 is for what the client did.
func (f *flight) status(req *http.Request, err error) int {
	var none *noBackend
	var timeout net.Error
	switch {
	case errors.Is(err, errNoUsers), errors.As(err, &none) && none.tried == 0:
		return http.StatusServiceUnavailable
	case none != nil:
		return http.StatusBadGateway
	case req.Context().Err() != nil, errors.Is(err, context.Canceled), f.upload.failed():
		return http.StatusBadRequest
	case errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// message is one line for the user. What net/http says would name addresses
// that are none of the user's business, so it goes to the log alone.
func (f *flight) message(err error) string {
	var none *noBackend
	switch {
	case errors.Is(err, errNoUsers):
		return errNoUsers.Error()
	case errors.As(err, &none):
		return none.Error()
	case f.upload.failed():
		return "the request's body could not be read"
	case f.arm != nil:
		return fmt.Sprintf("revision %s did not answer", f.arm.revision)
	}
	return "no answer"
}

// noBackend means that an arm has no backend to send a request to.
type noBackend struct {
	revision string
	tried    int
}

func (n *noBackend) Error() string {
	if n.tried > 0 {
		return fmt.Sprintf("no replica of revision %s can be reached", n.revision)
	}
	return fmt.Sprintf("revision %s has no replica that takes traffic", n.revision)
}

// upload is a request's body. It outlives the transport's Close, so that it
// can be sent to another backend; ReverseProxy closes what is under it.
type upload struct {
	from   io.Reader
	broken atomic.Bool
	// ended is whether it was read to its end.
	ended atomic.Bool
	// in fills up when the body ends; ReverseProxy made out of it before.
	in, out http.Header
}

// Read notes when it is the client who fails, and takes trailers along.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	switch err {
	case nil:
	case io.EOF:
		u.ended.Store(true)
		if u.out != nil {
			maps.Copy(u.out, u.in)
		}
	default:
		u.broken.Store(true)
	}
	return n, err
}

// Close does nothing.
func (u *upload) Close() error { return nil }

// closeUnread ends the client's connection with an answer that comes before
// the end of the body. net/http would want to use it again, read the rest of
// the body for that, and panic: https://github.com/golang/go/issues/68560.
func (u *upload) closeUnread(answer http.Header) {
	if u != nil && !u.ended.Load() {
		answer.Set("Connection", "close")
	}
}

// hearOut takes in for a while what a client still sends that was answered
// before the end of its body, so that it comes to read the answer. net/http does
// the same for handlers, but not while a transport reads the body as well: it
// breaks that read off, takes the connection for broken, and closes it, at which
// the client's system may throw away an answer that it has received already.
func (u *upload) hearOut(w http.ResponseWriter) {
	if u == nil || u.ended.Load() || u.broken.Load() {
		return
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(patience)) != nil || c.Flush() != nil {
		return
	}
	_, _ = io.Copy(io.Discard, u.from) // it ends with the client, or with our patience
}

// patience is as long as net/http gives a client in the same case.
const patience = 500 * time.Millisecond

// failed reports whether the client's side broke; a nil upload has not.
func (u *upload) failed() bool { return u != nil && u.broken.Load() }

// answer is a response's body that notes whether the backend's side broke.
type answer struct {
	from io.ReadCloser
	cut  bool
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.from.Read(p)
	if err != nil && err != io.EOF {
		a.cut = true
	}
	return n, err
}

// Close closes the body.
func (a *answer) Close() error { return a.from.Close() }

// bufferSize is what ReverseProxy would allocate for each request.
const bufferSize = 32 << 10

// pool has buffers as pointers to arrays, which need no allocation to be kept.
var pool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// buffers is the httputil.BufferPool of all routers.
type buffers struct{}

// Get gives a buffer of bufferSize.
func (buffers) Get() []byte { return pool.Get().(*[bufferSize]byte)[:] }

// Put takes it back.
func (buffers) Put(b []byte) { pool.Put((*[bufferSize]byte)(b)) }
