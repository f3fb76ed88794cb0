package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the servers that face users.
const (
	headerTimeout = 30 * time.Second
	closeTimeout  = 2 * time.Second
)

// front serves a handler on a listener until it is closed.
type front struct {
	server *http.Server
	port   int
	done   chan struct{}
}

// newFront begins to serve.
func newFront(l net.Listener, handler http.Handler, log *slog.Logger) *front {
	f := &front{
		server: &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		done: make(chan struct{}),
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		f.port = tcp.Port
	}
	go func() {
		defer close(f.done)
		_ = f.server.Serve(l) // always ends with ErrServerClosed or the listener's error
	}()
	return f
}

// url is where the front is reached; empty where there is none.
func (f *front) url() string {
	if f == nil {
		return ""
	}
	return "http://" + address(f.port)
}

// close stops listening and gives requests under way a moment.
func (f *front) close() {
	if f == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		_ = f.server.Close()
	}
	<-f.done
}
