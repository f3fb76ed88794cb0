package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// prometheus is one that scrapes the app of a workshop, once a second.
type prometheus struct {
	url   string
	cmd   *exec.Cmd
	ended chan struct{}
}

// register is run as a check of each version, on its own route: it makes the
// version known to the Prometheus. A file is replaced at once, so that no half of
// it is read.
const register = `set -e
printf '[{"targets": ["%s"]}]' "${URL#http://}" > "targets/$VERSION.new"
mv "targets/$VERSION.new" "targets/$VERSION.json"
`

const scraping = `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: hello, file_sd_configs: [{files: [%q], refresh_interval: 1s}]}]
`

// watch starts a Prometheus, and writes the check that tells it of versions.
func watch(ctx context.Context, w *workshop.Workshop) (*prometheus, error) {
	targets, config := filepath.Join(w.Dir, "targets"), filepath.Join(w.Dir, "prometheus.yml")
	err := errors.Join(
		os.Mkdir(targets, 0o755),
		os.WriteFile(filepath.Join(w.Dir, "watch.sh"), []byte(register), 0o644),
		os.WriteFile(config, fmt.Appendf(nil, scraping, filepath.Join(targets, "*.json")), 0o644))
	if err != nil {
		return nil, err
	}
	for range 3 { // another process may take the port meanwhile
		var p *prometheus
		if p, err = startPrometheus(ctx, config, filepath.Join(w.Dir, "data")); err == nil {
			return p, nil
		}
	}
	return nil, err
}

func startPrometheus(ctx context.Context, config, data string) (*prometheus, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &prometheus{url: "http://" + address, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, "prometheus", "--config.file", config, "--storage.tsdb.path", data, "--web.listen-address", address)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	if err := p.ready(ctx); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready waits until it answers.
func (p *prometheus) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/-/ready", nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			return errors.New("prometheus does not start")
		case <-ctx.Done():
			return fmt.Errorf("prometheus is not ready: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// close ends it.
func (p *prometheus) close() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	end := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer end.Stop()
	<-p.ended
}
