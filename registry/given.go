package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// Given is an image that was built elsewhere and is in a registry.
type Given struct {
	image  Artifact
	digest v1.Hash
}

// Artifact is what can be pushed.
func (g *Given) Artifact() Artifact { return g.image }

// Digest is that of the image.
func (g *Given) Digest() (v1.Hash, error) { return g.digest, nil }

// Close has nothing to give back.
func (g *Given) Close() error { return nil }

// Given finds an image, or an index, by a reference with a tag or a digest, and
// makes sure that it can be pulled: all that its manifest refers to is there.
// It has to have an image for each of the platforms; none is any.
func (c *Client) Given(ctx context.Context, reference string, platforms []string) (*Given, error) {
	ref, err := parseGiven(reference)
	if err != nil {
		return nil, err
	}
	conn, err := c.connect()
	if err != nil {
		return nil, err
	}
	got, err := conn.get(ctx, ref)
	if statusOf(err) == http.StatusNotFound {
		return nil, deploy.Hinted(fmt.Errorf("image %s: %w", reference, &NotFound{Repository: ref.Context().Name(), Reference: ref.Identifier()}),
			"push it there first, or correct the reference")
	}
	g := &Given{}
	if err == nil {
		g.digest = got.Digest
		err = conn.verify(ctx, ref.Context().Digest(got.Digest.String()), got)
	}
	if err == nil && got.MediaType.IsIndex() {
		g.image, err = got.ImageIndex()
	} else if err == nil {
		g.image, err = got.Image()
	}
	if err == nil {
		err = offersAll(g.image, platforms)
	}
	if err != nil {
		return nil, explain(ctx, "look at the image "+reference, ref.Context(), err)
	}
	return g, nil
}

// parseGiven wants a tag or a digest: what is meant by neither is a matter of
// taste.
func parseGiven(reference string) (name.Reference, error) {
	const hint = "name registry, repository and a tag or a digest: ghcr.io/acme/hello@sha256:…"
	ref, err := name.ParseReference(reference)
	if err == nil && isLoopback(ref.Context().RegistryStr()) {
		ref, err = name.ParseReference(reference, name.Insecure)
	}
	if err != nil {
		return nil, deploy.Usage(hint, "image %q: %w", reference, err)
	}
	last := reference[strings.LastIndex(reference, "/")+1:]
	if !strings.ContainsAny(last, ":@") {
		return nil, deploy.Usage(hint, "image %q has neither a tag nor a digest", reference)
	}
	return ref, nil
}
