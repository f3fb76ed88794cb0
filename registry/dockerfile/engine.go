package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	docker "github.com/moby/moby/client"

	"github.com/slipway-ci/slipway/deploy"
)

// engine is a Docker engine.
type engine struct {
	*docker.Client
	host string
}

// openEngine prepares to speak to a Docker engine, by the folder of its
// certificates where it has any; nothing is sent yet.
func openEngine(host, certificates string) (*engine, error) {
	if strings.HasPrefix(host, "ssh://") {
		return nil, deploy.Usage("forward its socket: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST, and DOCKER_HOST=unix:///tmp/docker.sock",
			"a Docker engine cannot be built with by %s", host)
	}
	options := []docker.Opt{docker.WithHost(host), docker.WithUserAgent("slipway")}
	if certificates != "" {
		in := func(name string) string { return filepath.Join(certificates, name) }
		options = append(options, docker.WithTLSClientConfig(in("ca.pem"), in("cert.pem"), in("key.pem")))
	}
	c, err := docker.New(options...)
	if err != nil {
		return nil, deploy.Usage("correct DOCKER_HOST", "the Docker engine at %s: %w", host, err)
	}
	return &engine{Client: c, host: host}, nil
}

// keepsLayouts reports whether the engine's BuildKit can write OCI images: those
// with the image store of containerd can.
func (e *engine) keepsLayouts(ctx context.Context) (bool, error) {
	answer, err := e.Info(ctx, docker.InfoOptions{})
	if err != nil {
		return false, err
	}
	return slices.Contains(answer.Info.DriverStatus, [2]string{"driver-type", "io.containerd.snapshotter.v1"}), nil
}

// grpc and session are the two ways to the BuildKit in the engine.
func (e *engine) grpc(ctx context.Context, _ string) (net.Conn, error) {
	return e.DialHijack(ctx, "/grpc", "h2c", nil)
}

func (e *engine) session(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
	return e.DialHijack(ctx, "/session", proto, meta)
}

// running makes sure that the container of a builder runs.
func (e *engine) running(ctx context.Context, container string) error {
	found, err := e.ContainerInspect(ctx, container, docker.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("look for the container %s at %s: %w", container, e.host, err)
	}
	if state := found.Container.State; state != nil && state.Running {
		return nil
	}
	if _, err := e.ContainerStart(ctx, container, docker.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the container %s: %w", container, err)
	}
	return nil
}

// containerPrefix begins the names of the containers that buildx makes.
const containerPrefix = "buildx_buildkit_"

// buildxContainers are the running containers that buildx has made. Inside of a
// container the folder of buildx is not there to be read; the containers are.
func (e *engine) buildxContainers(ctx context.Context) ([]string, error) {
	list, err := e.ContainerList(ctx, docker.ContainerListOptions{Filters: docker.Filters{}.Add("name", containerPrefix)})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range list.Items {
		for _, name := range c.Names {
			if name = strings.TrimPrefix(name, "/"); strings.HasPrefix(name, containerPrefix) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// into is a way to the BuildKit that runs in a container: the program beside
// it that passes on what comes in.
func (e *engine) into(container string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		made, err := e.ExecCreate(ctx, container, docker.ExecCreateOptions{
			AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: []string{"buildctl", "dial-stdio"},
		})
		if err != nil {
			return nil, err
		}
		attached, err := e.ExecAttach(ctx, made.ID, docker.ExecAttachOptions{})
		if err != nil {
			return nil, err
		}
		out, in := io.Pipe()
		go func() { // it ends with the connection
			_, err := stdcopy.StdCopy(in, io.Discard, attached.Reader)
			_ = in.CloseWithError(err)
		}()
		return &execConn{Conn: attached.Conn, out: out}, nil
	}
}

// execConn is a connection to a program in a container, whose output comes in
// frames.
type execConn struct {
	net.Conn
	out *io.PipeReader
}

// Read reads what the program writes.
func (c *execConn) Read(p []byte) (int, error) { return c.out.Read(p) }

// Close ends the program's input and output.
func (c *execConn) Close() error { return errors.Join(c.Conn.Close(), c.out.Close()) }

// save writes an image of the engine to a file, and removes it from the engine
// unless somebody gave it a name.
func (e *engine) save(ctx context.Context, id, path string) (err error) {
	defer e.forget(ctx, id)
	content, err := e.ImageSave(ctx, []string{id})
	if err != nil {
		return fmt.Errorf("fetch the image from the Docker engine: %w", err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, content); err != nil {
		return fmt.Errorf("fetch the image from the Docker engine: %w", err)
	}
	return nil
}

// forget removes what nobody has named. Its layers stay in the cache of the
// builder.
func (e *engine) forget(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reachLimit)
	defer cancel()
	found, err := e.ImageInspect(ctx, id)
	if err != nil || len(found.RepoTags) > 0 || len(found.RepoDigests) > 0 {
		return
	}
	_, _ = e.ImageRemove(ctx, id, docker.ImageRemoveOptions{})
}
