package steps

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/registry/dockerfile"
)

// Made is an image that is ready to be pushed: packed, built, or found.
type Made interface {
	Artifact() registry.Artifact
	Digest() (v1.Hash, error)
	Close() error
}

var (
	_ Made = (*registry.Packed)(nil)
	_ Made = (*registry.Stored)(nil)
	_ Made = (*registry.Given)(nil)
	_ Made = (*dockerfile.Image)(nil)
)

// unbuilt stands for the name of a revision whose image is not known yet.
const unbuilt = "not built yet"

// imageStep comes to the image by the way that the app names. All that can be
// wrong with it is told there, before anything is pushed.
func imageStep(r Request) Step {
	switch b := r.App.Build; {
	case b.Dockerfile != nil:
		return Step{Name: "build the image", Run: buildImage}
	case b.Image != "":
		return Step{Name: "verify the image", Run: findImage}
	case b.Archive != "":
		return Step{Name: "verify the image", Run: openImage}
	}
	return Step{Name: "pack the image", Run: packImage}
}

// packImage makes the image on this machine.
func packImage(ctx context.Context, w *Work) error {
	packed, err := w.Images.Pack(ctx, w.spec())
	if err != nil {
		return err
	}
	w.Made = packed
	return nil
}

func (w *Work) spec() registry.Spec {
	return registry.Spec{
		Build: w.App.Build, Dir: w.Dir, Title: w.App.Name, Version: w.Version,
		Source: w.Source.Remote, Revision: w.Source.Commit, Created: w.created(),
	}
}

// findImage verifies an image that is in a registry.
func findImage(ctx context.Context, w *Work) error {
	b := w.App.Build
	given, err := w.Images.Given(ctx, b.Image, b.Platforms)
	if err != nil {
		return err
	}
	w.Made = given
	digest, err := given.Digest()
	w.notice(ctx, "%s is %s", b.Image, digest)
	return err
}

// openImage verifies an image that is on disk.
func openImage(ctx context.Context, w *Work) error {
	b := w.App.Build
	at := b.Archive
	if !filepath.IsAbs(at) {
		at = filepath.Join(w.Dir, at)
	}
	stored, err := registry.Open(ctx, at, b.Platforms)
	if err != nil {
		return err
	}
	w.Made = stored
	return nil
}

// buildImage has BuildKit make the image. A dry run does not build: it takes
// what the version's tag names, where there is one.
func buildImage(ctx context.Context, w *Work) error {
	spec := w.dockerfile()
	if w.DryRun {
		if err := spec.Check(); err != nil {
			return err
		}
		w.lookForBuilt(ctx)
		return nil
	}
	built, err := w.Builders.Build(ctx, spec, func(e deploy.Event) { w.tell(ctx, e) })
	if err != nil {
		return err
	}
	w.Made = built
	return nil
}

func (w *Work) dockerfile() dockerfile.Spec {
	d := w.App.Build.Dockerfile
	spec := dockerfile.Spec{
		Dockerfile: *d, Dir: w.Dir, Platforms: w.App.Build.Platforms, Labels: w.spec().Labels(), Created: w.created(),
		Version: w.Version, Revision: w.Source.Commit, Values: map[string]string{},
	}
	for _, name := range d.Secrets {
		spec.Values[name], _ = w.Secret(name)
	}
	return spec
}

// lookLimit bounds what a dry run asks the registry.
const lookLimit = 15 * time.Second

// lookForBuilt finds the image of the version, if it was built before.
func (w *Work) lookForBuilt(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	repository, err := w.repository(limited)
	if err == nil {
		w.Image, err = w.Images.Resolve(limited, repository, w.Version)
	}
	if err != nil {
		w.Image = deploy.Image{Repository: w.App.Repository, Version: w.Version}
		w.notice(ctx, "a dry run does not build, so the image is not known yet")
		return
	}
	w.notice(ctx, "a dry run does not build: this is what %s has as %s", repository, w.Version)
}

// digestImage compresses the image to know its digest, where no push tells it.
func digestImage(_ context.Context, w *Work) error {
	if w.Made == nil {
		return nil
	}
	digest, err := w.Made.Digest()
	if err != nil {
		return fmt.Errorf("work out the digest: %w", err)
	}
	w.Image = deploy.Image{Repository: w.App.Repository, Digest: digest.String(), Version: w.Version}
	return nil
}

// tellImage is digestImage for a run that is about the image alone.
func tellImage(ctx context.Context, w *Work) error {
	if err := digestImage(ctx, w); err != nil || w.Made == nil {
		return err
	}
	w.tell(ctx, deploy.Event{Kind: deploy.ImageReady, Image: &w.Image, Message: fmt.Sprintf("made %s, and pushed it nowhere", w.Image)})
	return nil
}
