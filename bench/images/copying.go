package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
	slipway "github.com/slipway-ci/slipway/registry"
)

// copying is this program as one that copies an image by slipway's own code,
// and nothing else, since no command does: a promotion copies on its way.
type copying struct{ from, to string }

func (c copying) run(ctx context.Context) error {
	tagged, digest, _ := strings.Cut(c.from, "@")
	tag, err := name.NewTag(tagged)
	if err != nil {
		return err
	}
	image := deploy.Image{Repository: tag.Repository.Name(), Digest: digest, Version: tag.TagStr()}
	_, _, err = new(slipway.Client).Copy(ctx, image, c.to)
	return err
}

// copyAnew copies tree A's image to a registry that has nothing.
func (b *bench) copyAnew(ctx context.Context, into *row) error {
	return b.copies(ctx, into, false)
}

// copyAgain copies it where it is.
func (b *bench) copyAgain(ctx context.Context, into *row) error {
	return b.copies(ctx, into, true)
}

func (b *bench) copies(ctx context.Context, into *row, again bool) error {
	return b.withRegistry(ctx, func(from *registry) error {
		if _, err := bySlipway(ctx, b, from, "a", "1.0.0"); err != nil {
			return err
		}
		for _, tool := range []string{own, crane, regctl} {
			if tool != own && !b.tools.has(tool) {
				continue
			}
			took, err := b.copyBy(ctx, tool, from, again)
			if err != nil {
				return err
			}
			into.figures.add(tool, took)
		}
		if theirs := into.figures.latest(crane, regctl); theirs > 0 {
			into.figures.add(fastest, theirs)
		}
		return nil
	})
}

func (b *bench) copyBy(ctx context.Context, tool string, from *registry, again bool) (took time.Duration, err error) {
	digest, err := digestOf(ctx, from.host+"/slipway:1.0.0")
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	err = b.withRegistry(ctx, func(to *registry) error {
		command := map[string][]string{
			own:    {self, "-copy-from", from.host + "/slipway:1.0.0@" + digest, "-copy-to", to.host + "/slipway"},
			crane:  {b.tools.programs[crane], "copy", from.host + "/slipway:1.0.0", to.host + "/slipway:1.0.0"},
			regctl: {b.tools.programs[regctl], "--host", "reg=" + from.host + ",tls=disabled", "--host", "reg=" + to.host + ",tls=disabled", "image", "copy", from.host + "/slipway:1.0.0", to.host + "/slipway:1.0.0"},
		}[tool]
		if again {
			if _, err := b.command(ctx, command[0], command[1:]...); err != nil {
				return err
			}
		}
		u, err := b.command(ctx, command[0], command[1:]...)
		if err != nil {
			return err
		}
		took = u.time
		got, err := digestOf(ctx, to.host+"/slipway:1.0.0")
		if err == nil && got != digest {
			err = errors.Join(err, fmt.Errorf("%s copied %s to %s", tool, digest, got))
		}
		return err
	})
	return took, err
}

func digestOf(ctx context.Context, reference string) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	d, err := remote.Head(ref, remote.WithContext(ctx))
	if err != nil {
		return "", err
	}
	return d.Digest.String(), nil
}
