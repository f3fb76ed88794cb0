package kubernetes

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// asBrowsers reaches hosts as browsers do: localhost, and every name below it, is
// this machine, whatever its resolver says, and no proxy is asked for it. Many
// resolvers do not know such names.
// Source: RFC 6761, section 6.3.
func asBrowsers() *http.Transport {
	dialer := &net.Dialer{Timeout: probeTime}
	return &http.Transport{
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   time.Minute,
		Proxy: func(r *http.Request) (*url.URL, error) {
			if local(r.URL.Hostname()) {
				return nil, nil // none is an answer
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil || !local(host) {
				return dialer.DialContext(ctx, network, address)
			}
			four, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			if err == nil {
				return four, nil
			}
			six, also := dialer.DialContext(ctx, network, net.JoinHostPort("::1", port))
			if also == nil {
				return six, nil
			}
			return nil, errors.Join(err, also)
		},
	}
}

// local reports whether a host is localhost, or a name below it.
func local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
