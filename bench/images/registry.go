package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// registry is a docker-registry with nothing in it.
type registry struct {
	host, dir string
	cmd       *exec.Cmd
}

const registryConfig = `version: 0.1
storage:
  filesystem: {rootdirectory: %s}
http: {addr: %s}
log: {level: error}
`

// startRegistry starts one that notes its requests in a file.
func (b *bench) startRegistry(ctx context.Context) (*registry, error) {
	dir, err := os.MkdirTemp(b.dir, "registry-")
	if err != nil {
		return nil, err
	}
	r := &registry{dir: dir}
	if r.host, err = freeAddress(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/config.yml", fmt.Appendf(nil, registryConfig, dir+"/data", r.host), 0o644); err != nil {
		return nil, err
	}
	log, err := os.Create(dir + "/log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	r.cmd = exec.CommandContext(ctx, b.tools.registry, "serve", dir+"/config.yml")
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	if err := r.answers(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until it does.
func (r *registry) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.host+"/v2/", nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			return answer.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("docker-registry does not answer: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// blobs is how many blobs were sent to it so far.
func (r *registry) blobs() (int, error) {
	log, err := os.ReadFile(r.dir + "/log")
	return strings.Count(string(log), `"PATCH /v2/`), err
}

// close ends it, and removes what it has.
func (r *registry) close() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	ended := time.AfterFunc(10*time.Second, func() { _ = r.cmd.Process.Kill() })
	defer ended.Stop()
	_ = r.cmd.Wait() // it says that it was ended
	return os.RemoveAll(r.dir)
}

// withRegistry starts a registry for the length of f.
func (b *bench) withRegistry(ctx context.Context, f func(*registry) error) error {
	r, err := b.startRegistry(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(r), r.close())
}
