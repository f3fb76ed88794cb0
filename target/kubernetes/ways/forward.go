package ways

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // what client-go gives is of it
	"k8s.io/client-go/transport/spdy"

	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// forward is the way to one revision.
type forward struct {
	owner     *Ways
	namespace string
	selector  string
	// port of the pods; zero is the first that their first container names.
	port   int
	server *http.Server
	url    string
	// ids count the streams of port-forwarding, which have to be told apart.
	ids atomic.Int64
}

// proxy hands requests on, each by a connection of its own: pods go, and one
// that is kept would lead to one that is gone.
func (w *forward) proxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx) },
		},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			http.Error(rw, "slipway: "+err.Error(), http.StatusBadGateway)
		},
	}
}

// pod is one of the revision's that can serve.
func (w *forward) pod(ctx context.Context) (*corev1.Pod, error) {
	list, err := w.owner.kube.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{LabelSelector: w.selector})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if p := &list.Items[i]; p.DeletionTimestamp == nil && pods.IsReady(p) {
			return p, nil
		}
	}
	return nil, errors.New("no replica is ready")
}

// dial opens a connection to the port of a pod.
func (w *forward) dial(ctx context.Context) (net.Conn, error) {
	p, err := w.pod(ctx)
	if err != nil {
		return nil, err
	}
	carrier, upgrader, err := spdy.RoundTripperFor(w.owner.config)
	if err != nil {
		return nil, err
	}
	url := w.owner.kube.CoreV1().RESTClient().Post().Resource("pods").
		Namespace(w.namespace).Name(p.Name).SubResource("portforward").URL()
	conn, protocol, err := spdy.NewDialer(upgrader, &http.Client{Transport: carrier}, http.MethodPost, url).Dial(portForward)
	if err != nil {
		return nil, fmt.Errorf("forward a port of the pod %s: %w", p.Name, err)
	}
	if protocol != portForward {
		return nil, errors.Join(fmt.Errorf("the server speaks %q, not %q", protocol, portForward), conn.Close())
	}
	return w.stream(conn, p)
}

// portForward is the protocol of the subresource.
// Source: k8s.io/client-go/tools/portforward.
const portForward = "portforward.k8s.io"

// stream opens the pair of streams that one connection is made of.
func (w *forward) stream(conn httpstream.Connection, p *corev1.Pod) (net.Conn, error) {
	h := http.Header{}
	h.Set(corev1.StreamType, corev1.StreamTypeError)
	port, err := w.portOf(p)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	h.Set(corev1.PortHeader, strconv.Itoa(port))
	h.Set(corev1.PortForwardRequestIDHeader, strconv.FormatInt(w.ids.Add(1), 10))
	failures, err := conn.CreateStream(h)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("forward a port of the pod %s: %w", p.Name, err), conn.Close())
	}
	_ = failures.Close() // only the other side writes to it
	h.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(h)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("forward a port of the pod %s: %w", p.Name, err), conn.Close())
	}
	return &streamConn{Stream: data, conn: conn}, nil
}

// portOf is where a pod is reached.
func (w *forward) portOf(p *corev1.Pod) (int, error) {
	if w.port > 0 {
		return w.port, nil
	}
	port := objects.PortOf(p)
	if port == 0 {
		return 0, fmt.Errorf("the pod %s names no port", p.Name)
	}
	return port, nil
}

// streamConn is a stream as a connection. It knows no deadlines: whoever uses it
// closes it.
type streamConn struct {
	httpstream.Stream
	conn httpstream.Connection
}

func (s *streamConn) Close() error { return errors.Join(s.Reset(), s.conn.Close()) }

func (*streamConn) LocalAddr() net.Addr              { return streamAddr{} }
func (*streamConn) RemoteAddr() net.Addr             { return streamAddr{} }
func (*streamConn) SetDeadline(time.Time) error      { return nil }
func (*streamConn) SetReadDeadline(time.Time) error  { return nil }
func (*streamConn) SetWriteDeadline(time.Time) error { return nil }

var _ io.ReadWriteCloser = (*streamConn)(nil)

type streamAddr struct{}

func (streamAddr) Network() string { return "portforward" }
func (streamAddr) String() string  { return "portforward" }
