package faulttest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/metrics"
	"github.com/slipway-ci/slipway/rollout"
)

// scraping reads the gateway's own counters, as often as a test wants to know.
const scraping = `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: gateway, metrics_path: %q, static_configs: [{targets: [%q]}]}]
`

// prometheus is a real one that scrapes the gateway; it ends with the test.
// Empty is that there is none on this machine.
func prometheus(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Logf("without what the gateway counts: %v", err)
		return ""
	}
	from, err := url.Parse(clustertest.GatewayMetrics(t))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, scraping, from.Path, from.Host), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 { // another process may take the port meanwhile
		if address := scrape(t, config); address != "" {
			return address
		}
	}
	t.Fatal("prometheus does not start")
	return ""
}

// scrape starts one on a free port; empty where it ended at once.
func scrape(t *testing.T, config string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "prometheus", "--config.file", config,
		"--storage.tsdb.path", filepath.Join(t.TempDir(), "data"), "--web.listen-address", address, "--log.level", "error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		hard := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer hard.Stop()
		<-ended
	})
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get("http://" + address + "/-/ready")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		select {
		case <-ended:
			return ""
		default:
		}
	}
	return ""
}

// measure is how the binary lets its judge ask: about what the target calls its
// revisions.
func (l *lane) measure(p deploy.Plan) (*rollout.Measuring, error) {
	subject := metrics.Subject{App: app, Environment: p.Environment, Live: p.Reference(), Candidate: p.Candidate}
	subject.Namespace, subject.Backend = l.target.Called("{{.Revision}}")
	m, err := metrics.Measure(p.Strategy.Judging.Metrics, subject, max(p.Strategy.Judging.WarmUp, 0), metrics.Means{})
	if err != nil || len(m.Sources) == 0 {
		return nil, err
	}
	return &rollout.Measuring{
		Names: m.Names, Judges: m.Judges, Rules: m.Rules,
		Begin: func(ctx context.Context) (rollout.Meter, error) { return m.Begin(ctx) },
	}, nil
}
