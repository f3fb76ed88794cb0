package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Resolve finds the image that a version's tag names. It is a *NotFound where
// there is none.
func (c *Client) Resolve(ctx context.Context, repository, version string) (deploy.Image, error) {
	tag, err := parseTag(repository, version)
	if err != nil {
		return deploy.Image{}, err
	}
	ctx, conn, done, err := c.begin(ctx, lookupLimit, tag.RegistryStr()+" to find "+tag.Name())
	if err != nil {
		return deploy.Image{}, err
	}
	defer done()
	digest, err := conn.head(ctx, tag)
	if statusOf(err) == http.StatusNotFound {
		return deploy.Image{}, notFound(repository, version)
	}
	if err != nil {
		return deploy.Image{}, explain(ctx, "find "+tag.Name(), tag.Repository, err)
	}
	return deploy.Image{Repository: repository, Digest: digest.String(), Version: version}, nil
}

// Verify makes sure that an image can be pulled: its manifest is there and has
// the digest, and so are its configuration and its layers. It is a *NotFound
// where the manifest is missing, ErrIncomplete where one of the others is.
func (c *Client) Verify(ctx context.Context, image deploy.Image) error {
	ref, err := parseImage(image)
	if err != nil {
		return err
	}
	ctx, conn, done, err := c.begin(ctx, lookupLimit, ref.RegistryStr()+" to verify "+ref.Name())
	if err != nil {
		return err
	}
	defer done()
	got, err := conn.get(ctx, ref)
	if statusOf(err) == http.StatusNotFound {
		return notFound(image.Repository, image.Digest)
	}
	if err == nil {
		err = conn.verify(ctx, ref, got)
	}
	return explain(ctx, "verify "+ref.Name(), ref.Repository, err)
}

// verify looks for all that a manifest refers to.
func (c *connection) verify(ctx context.Context, ref name.Digest, got *remote.Descriptor) error {
	if got.MediaType.IsIndex() {
		return c.verifyIndex(ctx, ref, got)
	}
	m, err := partial.Manifest(got)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", got.Digest, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, blob := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if blob.MediaType.IsDistributable() {
			g.Go(func() error { return c.verifyBlob(ctx, ref, blob.Digest) })
		}
	}
	return g.Wait()
}

func (c *connection) verifyBlob(ctx context.Context, ref name.Digest, digest v1.Hash) error {
	layer, err := c.puller.Layer(ctx, ref.Digest(digest.String()))
	if err != nil {
		return err
	}
	there, err := partial.Exists(layer)
	if err == nil && !there {
		err = incomplete("blob " + digest.String())
	}
	return err
}

func (c *connection) verifyIndex(ctx context.Context, ref name.Digest, got *remote.Descriptor) error {
	index, err := v1.ParseIndexManifest(bytes.NewReader(got.Manifest))
	if err != nil {
		return fmt.Errorf("index %s: %w", got.Digest, err)
	}
	for _, m := range index.Manifests {
		if !m.MediaType.IsImage() {
			continue
		}
		child, err := c.get(ctx, ref.Digest(m.Digest.String()))
		if statusOf(err) == http.StatusNotFound {
			return incomplete("manifest " + m.Digest.String())
		}
		if err == nil {
			err = c.verify(ctx, ref, child)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func incomplete(what string) error {
	return deploy.Hinted(fmt.Errorf("%w: %s is missing", ErrIncomplete, what),
		"the registry has lost a part, as garbage collection does: push the image again under a new version")
}
