package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// How often a replica is asked whether it can serve.
const (
	probeSoon    = 50 * time.Millisecond // while it starts
	probeSlower  = 250 * time.Millisecond
	probeReady   = time.Second
	probeTimeout = 5 * time.Second
	// patience is how many probes in a row a ready replica may fail.
	patience = 2
)

// prober asks replicas whether they can serve.
type prober struct {
	dialer net.Dialer
	client *http.Client
}

func newProber() *prober {
	p := &prober{}
	p.client = &http.Client{
		Transport: &http.Transport{
			DialContext: p.dialer.DialContext, DisableKeepAlives: true, Proxy: nil,
		},
		// A redirect is an answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

// probe asks once: GET of the health path, or a connection where there is
// none. The error says in a few words what came instead.
func (p *prober) probe(ctx context.Context, port int, health string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if health == "" {
		return p.connect(ctx, port)
	}
	return p.get(ctx, "http://"+address(port)+"/"+strings.TrimPrefix(health, "/"))
}

func (p *prober) connect(ctx context.Context, port int) error {
	conn, err := p.dialer.DialContext(ctx, "tcp4", address(port))
	if err != nil {
		return inFewWords(err)
	}
	return conn.Close()
}

func (p *prober) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "slipway-health")
	resp, err := p.client.Do(req)
	if err != nil {
		return inFewWords(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("last status %d", resp.StatusCode)
	}
	return nil
}

// inFewWords leaves out addresses that mean nothing to people.
func inFewWords(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, syscall.ECONNRESET), strings.HasSuffix(err.Error(), "EOF"):
		return errors.New("connection closed without an answer")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in %s", probeTimeout)
	}
	return err
}
