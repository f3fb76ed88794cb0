package dockerfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	docker "github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
)

var pingOptions = docker.PingOptions{}

// Builders makes images of Dockerfiles.
type Builders struct {
	Place Place
	// Login answers for registries that base images and the cache are in; nil
	// is anonymous.
	Login Login
}

// Image is one that a builder has made, on this machine's disk. It has to be
// closed.
type Image struct {
	*registry.Stored
	dir string
}

// Close removes what is on disk.
func (i *Image) Close() error { return errors.Join(i.Stored.Close(), os.RemoveAll(i.dir)) }

// Build makes the image, and tells each step as it happens. What is wrong with
// files and secrets is told before a builder is looked for. When ctx ends, the
// builder is told to stop, and Build returns within seconds.
func (b *Builders) Build(ctx context.Context, spec Spec, tell func(deploy.Event)) (*Image, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	secrets, err := spec.secrets()
	if err != nil {
		return nil, err
	}
	found, err := b.Place.find(ctx, spec.Builder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.close() }() // what was built is here by then
	tell(deploy.Event{Kind: deploy.Notice, Message: "built by " + found.name})
	if err := found.suits(spec, len(secrets), tell); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "slipway-image-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	stored, err := b.into(ctx, dir, found, spec, secrets, tell)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Image{Stored: stored, dir: dir}, nil
}

// suits refuses what a builder cannot do, or should not be told.
func (b *builder) suits(spec Spec, secrets int, tell func(deploy.Event)) error {
	if b.open && secrets > 0 {
		return deploy.Usage("make a builder with certificates (driver: remote in docker/setup-buildx-action), or use one on this machine",
			"the secrets of the build would go to %s unencrypted", b.name)
	}
	if b.engine == nil {
		return nil
	}
	if len(spec.Platforms) > 1 {
		return deploy.Usage(severalHint, "%s cannot build for several platforms at once", b.name)
	}
	if spec.CacheTo != "" {
		tell(deploy.Event{
			Kind: deploy.Warning, Message: b.name + " keeps its cache for itself, so nothing is written to build.cache-to",
			Hint: "use docker/setup-buildx-action, or name a BuildKit in build.builder",
		})
	}
	return nil
}

// into has the image built, and opens it in the folder.
func (b *Builders) into(ctx context.Context, dir string, by *builder, spec Spec, secrets map[string][]byte, tell func(deploy.Event)) (*registry.Stored, error) {
	options, err := b.options(spec, secrets)
	if err != nil {
		return nil, err
	}
	archive := filepath.Join(dir, "image.tar")
	options.Exports = []client.ExportEntry{spec.export(archive)}
	if by.engine != nil {
		options.Exports = []client.ExportEntry{{Type: "moby", Attrs: map[string]string{}}}
		options.CacheExports = nil
	}
	answer, err := solve(ctx, by, spec, options, tell)
	if err != nil {
		return nil, err
	}
	if by.engine == nil {
		return registry.Open(ctx, archive, spec.Platforms)
	}
	if err := by.engine.save(ctx, answer.ExporterResponse[exptypes.ExporterImageDigestKey], archive); err != nil {
		return nil, err
	}
	return registry.Restamp(ctx, archive, spec.Created, spec.Labels)
}

// solve has the builder do it.
func solve(ctx context.Context, by *builder, spec Spec, options client.SolveOpt, tell func(deploy.Event)) (*client.SolveResponse, error) {
	p := newProgress(tell)
	status := make(chan *client.SolveStatus)
	var answer *client.SolveResponse
	var g errgroup.Group
	g.Go(func() error {
		p.follow(status)
		return nil
	})
	answer, err := by.Solve(ctx, nil, options, status)
	_ = g.Wait()
	if err != nil {
		return nil, p.explain(ctx, spec, err)
	}
	p.forgiven()
	return answer, nil
}

func (b *Builders) options(spec Spec, secrets map[string][]byte) (client.SolveOpt, error) {
	mounts, err := spec.mounts()
	if err != nil {
		return client.SolveOpt{}, err
	}
	attached := []session.Attachable{secretsprovider.FromMap(secrets)}
	if b.Login != nil {
		attached = append(attached, &credentials{login: b.Login})
	}
	return client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: spec.attributes(),
		LocalMounts:   mounts,
		SharedKey:     spec.sharedKey(),
		Session:       attached,
		CacheImports:  spec.cacheImports(),
		CacheExports:  spec.cacheExports(),
	}, nil
}

// sharedKey lets a builder compare the folder with what it was sent before from
// the same one, and be sent the difference alone.
func (s Spec) sharedKey() string {
	host, _ := os.Hostname()
	dir, _ := filepath.Abs(filepath.Join(s.Dir, s.Context))
	sum := sha256.Sum256([]byte(host + "\x00" + dir))
	return hex.EncodeToString(sum[:])
}

// export is an OCI layout in an archive, with nothing in it newer than the
// commit.
func (s Spec) export(archive string) client.ExportEntry {
	attributes := map[string]string{
		"oci-mediatypes":    "true",
		"rewrite-timestamp": "true",
	}
	for key, value := range s.Labels {
		attributes["annotation."+key] = value
		if len(s.Platforms) > 1 {
			attributes["annotation-index."+key] = value
		}
	}
	return client.ExportEntry{Type: client.ExporterOCI, Attrs: attributes, Output: func(map[string]string) (io.WriteCloser, error) {
		return os.Create(archive)
	}}
}

func (s Spec) cacheImports() []client.CacheOptionsEntry {
	var all []client.CacheOptionsEntry
	refs := s.CacheFrom
	if s.CacheTo != "" {
		refs = append(refs[:len(refs):len(refs)], s.CacheTo)
	}
	for _, ref := range refs {
		all = append(all, client.CacheOptionsEntry{Type: "registry", Attrs: cacheAt(ref, nil)})
	}
	return all
}

func (s Spec) cacheExports() []client.CacheOptionsEntry {
	if s.CacheTo == "" {
		return nil
	}
	return []client.CacheOptionsEntry{{Type: "registry", Attrs: cacheAt(s.CacheTo, map[string]string{
		// All steps, those of earlier stages too.
		"mode": "max",
		// The image does not depend on it: what goes wrong is a warning.
		"ignore-error": "true",
		// As an ordinary image, which every registry takes.
		"image-manifest": "true", "oci-mediatypes": "true",
	})}}
}

// cacheAt is a reference of a cache with its settings.
func cacheAt(ref string, settings map[string]string) map[string]string {
	all := map[string]string{"ref": ref}
	maps.Copy(all, settings)
	return all
}
