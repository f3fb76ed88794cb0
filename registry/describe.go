package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
)

// Described is what an image says of itself.
type Described struct {
	// Digest is that of its manifest or index.
	Digest string
	// Version and Revision are those of its annotations or labels, as the OCI
	// image specification names them; empty where it has none.
	Version, Revision string
}

// Describe reads what the image says of itself that a tag names, a version's or
// another. Annotations go before labels, and those of an index before those of
// the images in it, of which the first speaks for all. It is a *NotFound where
// there is no such tag.
func (c *Client) Describe(ctx context.Context, repository, tagged string) (Described, error) {
	tag, err := parseTag(repository, tagged)
	if err != nil {
		return Described{}, err
	}
	ctx, conn, done, err := c.begin(ctx, lookupLimit, tag.RegistryStr()+" to read "+tag.Name())
	if err != nil {
		return Described{}, err
	}
	defer done()
	d, err := conn.describe(ctx, tag)
	if statusOf(err) == http.StatusNotFound {
		return Described{}, notFound(repository, tagged)
	}
	return d, explain(ctx, "read "+tag.Name(), tag.Repository, err)
}

func (c *connection) describe(ctx context.Context, ref name.Reference) (Described, error) {
	got, err := c.get(ctx, ref)
	if err != nil {
		return Described{}, err
	}
	d := Described{Digest: got.Digest.String()}
	var manifest struct {
		Annotations map[string]string `json:"annotations"`
		Manifests   []v1.Descriptor   `json:"manifests"`
	}
	if err := json.Unmarshal(got.Manifest, &manifest); err != nil {
		return d, fmt.Errorf("manifest %s: %w", got.Digest, err)
	}
	d.add(manifest.Annotations)
	if d.Version != "" && d.Revision != "" {
		return d, nil
	}
	if got.MediaType.IsIndex() {
		err = c.describeFirst(ctx, ref, &d, manifest.Manifests)
		return d, err
	}
	labels, err := labelsOf(got)
	d.add(labels)
	return d, err
}

// describeFirst asks the first image of an index. Attestations among them are
// for no platform.
func (c *connection) describeFirst(ctx context.Context, ref name.Reference, d *Described, manifests []v1.Descriptor) error {
	for _, m := range manifests {
		if !m.MediaType.IsImage() || m.Platform != nil && m.Platform.OS == "unknown" {
			continue
		}
		first, err := c.describe(ctx, ref.Context().Digest(m.Digest.String()))
		if statusOf(err) == http.StatusNotFound { // it says nothing any more
			return nil
		}
		d.add(map[string]string{keyVersion: first.Version, keyRevision: first.Revision})
		return err
	}
	return nil
}

// labelsOf reads the labels of an image; none of what has no configuration of
// an image, as other artifacts do.
func labelsOf(got *remote.Descriptor) (map[string]string, error) {
	if !got.MediaType.IsImage() {
		return nil, nil
	}
	img, err := got.Image()
	if err != nil {
		return nil, err
	}
	m, err := img.Manifest()
	if err != nil || !m.Config.MediaType.IsConfig() {
		return nil, err
	}
	config, err := partial.ConfigFile(img)
	if err != nil {
		return nil, err
	}
	return config.Config.Labels, nil
}

// add takes what is not known yet.
func (d *Described) add(labels map[string]string) {
	if d.Version == "" {
		d.Version = labels[keyVersion]
	}
	if d.Revision == "" {
		d.Revision = labels[keyRevision]
	}
}

// Point makes a tag name an image that is in the repository already, whatever
// it names now. It is for tags that move: those of versions are claimed by Push.
func (c *Client) Point(ctx context.Context, tagged string, image deploy.Image) error {
	tag, err := parseTag(image.Repository, tagged)
	if err != nil {
		return err
	}
	if isVersion(tagged) {
		return errors.New("the tag of a version does not move: " + tagged)
	}
	digest, err := parseImage(image)
	if err != nil {
		return err
	}
	ctx, conn, done, err := c.begin(ctx, lookupLimit, tag.RegistryStr()+" to move "+tag.Name())
	if err != nil {
		return err
	}
	defer done()
	got, err := conn.get(ctx, digest)
	if statusOf(err) == http.StatusNotFound {
		return notFound(image.Repository, image.Digest)
	}
	if err == nil {
		err = conn.pusher.Put(ctx, tag, got)
	}
	return explain(ctx, "move "+tag.Name(), tag.Repository, err)
}
