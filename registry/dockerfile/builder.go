package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/slipway-ci/slipway/deploy"
)

// Place is where builders are looked for, as the environment says.
type Place struct {
	// Buildx is the folder in which buildx keeps its builders; empty looks for
	// none.
	Buildx string
	// Named is the builder of buildx that BUILDX_BUILDER names; may be empty.
	Named string
	// Engine is the address of the Docker engine, such as
	// unix:///var/run/docker.sock.
	Engine string
	// Certificates is the folder of those for an engine at the end of a
	// network; empty uses none.
	Certificates string
}

// builder is a BuildKit that has answered.
type builder struct {
	*client.Client
	// name says for people which one it is.
	name string
	// engine is set where images have to be fetched out of a Docker engine: its
	// BuildKit cannot write them elsewhere.
	engine *engine
	// open says that others could listen on the way there.
	open   bool
	closes []func() error
}

func (b *builder) close() error {
	var errs []error
	for i := len(b.closes) - 1; i >= 0; i-- {
		errs = append(errs, b.closes[i]())
	}
	return errors.Join(errs...)
}

// reachLimit is how long a builder may take to answer at all.
const reachLimit = 20 * time.Second

// find finds a builder: the one at the address, otherwise one that buildx has
// made, otherwise the one in the Docker engine.
func (p Place) find(ctx context.Context, address string) (*builder, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, reachLimit, fmt.Errorf("timed out after %s waiting for a builder", reachLimit))
	defer cancel()
	if address != "" {
		return p.given(ctx, address)
	}
	in, err := buildxCurrent(p.Buildx, p.Named, p.Engine)
	if err != nil {
		return nil, err
	}
	if in != nil {
		return p.ofBuildx(ctx, in)
	}
	return p.ofEngine(ctx)
}

// given is the builder at an address.
func (p Place) given(ctx context.Context, address string) (*builder, error) {
	if container, ok := strings.CutPrefix(address, "docker-container://"); ok {
		return p.inContainer(ctx, container, address)
	}
	b := &builder{name: address, open: isOpen(address)}
	if err := b.connect(ctx, address); err != nil {
		return nil, unreachable("build.builder "+address, err, "start it, or leave builder out")
	}
	return b, nil
}

// isOpen reports whether an address is at the end of a network.
func isOpen(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "tcp" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// ofBuildx is a builder that buildx has made, as docker/setup-buildx-action
// does.
func (p Place) ofBuildx(ctx context.Context, in *instance) (*builder, error) {
	name, first := "the builder "+in.Name+" of buildx", in.Nodes[0]
	switch in.Driver {
	case "docker":
		return p.ofEngine(ctx)
	case "docker-container", "":
		place := p
		if strings.Contains(first.Endpoint, "://") { // otherwise it is the name of a context
			place.Engine = first.Endpoint
		}
		return place.inContainer(ctx, containerPrefix+first.Name, name)
	case "remote":
		b := &builder{name: name, open: isOpen(first.Endpoint) && first.DriverOpts["cacert"] == ""}
		if err := b.connect(ctx, first.Endpoint, certificates(first.DriverOpts)...); err != nil {
			return nil, unreachable(name, err, "look at it with: docker buildx inspect --bootstrap "+in.Name)
		}
		return b, nil
	}
	return nil, deploy.Hinted(fmt.Errorf("%s has the driver %s, which cannot be spoken to from here", name, in.Driver),
		"make one with driver: docker-container or remote in docker/setup-buildx-action, or name one in build.builder")
}

// certificates are the options of a remote builder.
func certificates(options map[string]string) []client.ClientOpt {
	var all []client.ClientOpt
	if ca := options["cacert"]; ca != "" {
		all = append(all, client.WithServerConfig(options["servername"], ca))
	}
	if options["cert"] != "" {
		all = append(all, client.WithCredentials(options["cert"], options["key"]))
	}
	return all
}

// inContainer is a builder that runs in a container.
func (p Place) inContainer(ctx context.Context, container, name string) (*builder, error) {
	e, err := openEngine(p.Engine, p.Certificates)
	if err != nil {
		return nil, err
	}
	b := &builder{name: name, open: p.open(), closes: []func() error{e.Close}}
	err = e.running(ctx, container)
	if err == nil {
		err = b.connect(ctx, "", client.WithContextDialer(e.into(container)))
	}
	if err != nil {
		return nil, unreachable(name, errors.Join(err, b.close()), "make it anew: docker buildx create --use --bootstrap, or docker/setup-buildx-action")
	}
	return b, nil
}

// ofEngine is the builder in the Docker engine, or a container that buildx has
// made there.
func (p Place) ofEngine(ctx context.Context) (*builder, error) {
	e, err := openEngine(p.Engine, p.Certificates)
	if err != nil {
		return nil, err
	}
	b, err := p.within(ctx, e)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	b.closes = append([]func() error{e.Close}, b.closes...)
	return b, nil
}

func (p Place) within(ctx context.Context, e *engine) (*builder, error) {
	if _, err := e.Ping(ctx, pingOptions); err != nil {
		return nil, noBuilder(ctx, p, err)
	}
	if p.Named == "" && p.unseen() {
		names, err := e.buildxContainers(ctx)
		if err == nil && len(names) == 1 {
			b := &builder{name: "the builder in the container " + names[0], open: p.open()}
			if err := b.connect(ctx, "", client.WithContextDialer(e.into(names[0]))); err == nil {
				return b, nil
			}
		}
	}
	layouts, err := e.keepsLayouts(ctx)
	if err != nil {
		return nil, noBuilder(ctx, p, err)
	}
	b := &builder{name: "the Docker engine at " + e.host, open: p.open()}
	if !layouts {
		b.engine = e
	}
	if err := b.connect(ctx, "", client.WithContextDialer(e.grpc), client.WithSessionDialer(e.session)); err != nil {
		return nil, noBuilder(ctx, p, err)
	}
	return b, nil
}

// unseen reports whether the folder of buildx is not to be seen from here, as
// inside of a container. Where it is, and names no builder, none is wanted.
func (p Place) unseen() bool {
	_, err := os.Stat(p.Buildx)
	return p.Buildx == "" || err != nil
}

// open reports whether others could listen on the way to the Docker engine.
func (p Place) open() bool { return p.Certificates == "" && isOpen(p.Engine) }

// connect reaches the builder and asks which workers it has, so that what is
// wrong with the way there shows before anything is built.
func (b *builder) connect(ctx context.Context, address string, options ...client.ClientOpt) error {
	c, err := client.New(context.WithoutCancel(ctx), address, options...)
	if err != nil {
		return err
	}
	if _, err := c.ListWorkers(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return errors.Join(err, c.Close())
	}
	b.Client, b.closes = c, append(b.closes, c.Close)
	return nil
}

func unreachable(what string, err error, hint string) error {
	return deploy.Hinted(fmt.Errorf("%s does not answer: %w", what, err), "%s", hint)
}

// noBuilder says the three ways to get one.
func noBuilder(ctx context.Context, p Place, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return deploy.Hinted(fmt.Errorf("there is no builder for the Dockerfile: build.builder is not set, buildx has made none, and no Docker engine answers at %s: %w", p.Engine, err),
		"use docker/setup-buildx-action in a step before, or start a Docker engine (DOCKER_HOST names another), "+
			"or name a BuildKit in slipway.yaml: build: {builder: tcp://127.0.0.1:1234}")
}
