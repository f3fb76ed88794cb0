package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Listed is a tag of a repository, with what it names.
type Listed struct {
	// Version is what the tag says; other tags than versions' are as they are.
	Version string
	Digest  string
	// Size is what a pull takes at most, in bytes: manifests, configurations and
	// layers as they are stored, of all platforms. What images share counts in
	// each.
	Size int64
	// Created is the time that the image names, which is that of its commit where
	// Slipway made it; zero where it names none.
	Created time.Time
	// Parts are the digests of the manifests that it refers to, if it is an index.
	Parts []string
}

// List reads all tags of a repository, in no order; none where there is no such
// repository. A tag that went away meanwhile is left out.
func (c *Client) List(ctx context.Context, repository string) ([]Listed, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	ctx, conn, done, err := c.begin(ctx, listLimit, repo.RegistryStr()+" to list "+repo.Name())
	if err != nil {
		return nil, err
	}
	defer done()
	tags, err := conn.tags(ctx, repo)
	if err != nil {
		return nil, err
	}
	all, err := conn.list(ctx, repo, tags)
	return all, explain(ctx, "list "+repo.Name(), repo, err)
}

// listLimit bounds the look at all tags: a few requests for each.
const listLimit = 10 * time.Minute

func (c *connection) list(ctx context.Context, repo name.Repository, tags []string) ([]Listed, error) {
	var mu sync.Mutex
	var all []Listed
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * parallel)
	for _, tag := range tags {
		g.Go(func() error {
			listed, err := c.look(ctx, repo.Tag(tag))
			if statusOf(err) == http.StatusNotFound {
				return nil
			}
			if err != nil {
				return err
			}
			listed.Version = versionOf(tag)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, listed)
			return nil
		})
	}
	return all, g.Wait()
}

// look reads what a reference names. Of what cannot be understood it is known
// that it is there.
func (c *connection) look(ctx context.Context, ref name.Reference) (Listed, error) {
	got, err := c.get(ctx, ref)
	if err != nil {
		return Listed{}, err
	}
	listed := Listed{Digest: got.Digest.String(), Size: got.Size}
	if got.MediaType.IsIndex() {
		return c.lookIndex(ctx, ref, got, listed)
	}
	m, err := v1.ParseManifest(bytes.NewReader(got.Manifest))
	if err != nil {
		return listed, nil //nolint:nilerr // see above
	}
	for _, blob := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		listed.Size += blob.Size
	}
	listed.Created = timeOf(m.Annotations)
	if listed.Created.IsZero() && m.Config.MediaType.IsConfig() {
		listed.Created, err = createdBy(got)
	}
	if statusOf(err) == http.StatusNotFound { // it is damaged, which is for verify to say
		err = nil
	}
	return listed, err
}

func (c *connection) lookIndex(ctx context.Context, ref name.Reference, got *remote.Descriptor, listed Listed) (Listed, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(got.Manifest))
	if err != nil {
		return listed, nil //nolint:nilerr // as for look
	}
	listed.Created = timeOf(index.Annotations)
	for _, m := range index.Manifests {
		listed.Parts = append(listed.Parts, m.Digest.String())
		if !m.MediaType.IsImage() && !m.MediaType.IsIndex() {
			listed.Size += m.Size
			continue
		}
		part, err := c.look(ctx, ref.Context().Digest(m.Digest.String()))
		if statusOf(err) == http.StatusNotFound {
			continue
		}
		if err != nil {
			return listed, err
		}
		listed.Size += part.Size
		listed.Parts = append(listed.Parts, part.Parts...)
		if part.Created.After(listed.Created) {
			listed.Created = part.Created
		}
	}
	return listed, nil
}

// timeOf is the time that annotations name.
func timeOf(annotations map[string]string) time.Time {
	at, err := time.Parse(time.RFC3339, annotations[keyCreated])
	if err != nil {
		return time.Time{}
	}
	return named(at)
}

// createdBy is the time in the configuration of an image.
func createdBy(got *remote.Descriptor) (time.Time, error) {
	img, err := got.Image()
	if err != nil {
		return time.Time{}, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return time.Time{}, err
	}
	return named(config.Created.Time), nil
}

// named leaves out the beginning of Unix time, which stands for no time where
// images are to be the same whenever they are made.
func named(at time.Time) time.Time {
	if at.Unix() <= 0 {
		return time.Time{}
	}
	return at.UTC()
}

// Undeletable means that a registry lets nobody remove images by its interface.
type Undeletable struct {
	// Registry is its host.
	Registry string
	// Err is what it answered.
	Err error
}

// Error names the registry.
func (u *Undeletable) Error() string { return u.Registry + " does not let images be removed" }

// Unwrap gives the registry's answer.
func (u *Undeletable) Unwrap() error { return u.Err }

// Delete removes an image by its digest, with all tags that name it; those that
// are known are given. What is not there is removed. It is an *Undeletable where
// the registry refuses that for all images.
func (c *Client) Delete(ctx context.Context, repository, digest string, versions []string) error {
	ref, err := parseImage(deploy.Image{Repository: repository, Digest: digest})
	if err != nil {
		return err
	}
	ctx, conn, done, err := c.begin(ctx, lookupLimit, ref.RegistryStr()+" to remove "+ref.Name())
	if err != nil {
		return err
	}
	defer done()
	err = conn.drop(ctx, ref)
	if slices.Contains([]int{http.StatusBadRequest, http.StatusConflict, http.StatusPreconditionFailed}, statusOf(err)) {
		// Some want the tags to go first.
		for _, version := range versions {
			if err := conn.drop(ctx, ref.Context().Tag(deploy.TagOf(version))); err != nil {
				return undeletable(ctx, ref, err)
			}
		}
		err = conn.drop(ctx, ref)
	}
	return undeletable(ctx, ref, err)
}

// drop removes what a reference names.
func (c *connection) drop(ctx context.Context, ref name.Reference) error {
	err := c.pusher.Delete(ctx, ref)
	if statusOf(err) == http.StatusNotFound {
		return nil
	}
	return err
}

func undeletable(ctx context.Context, ref name.Digest, err error) error {
	if statusOf(err) != http.StatusMethodNotAllowed {
		return explain(ctx, "remove "+ref.Name(), ref.Repository, err)
	}
	return deploy.Hinted(fmt.Errorf("remove %s: %w", ref.Name(), &Undeletable{Registry: ref.RegistryStr(), Err: err}), "%s", deletionHint(ref.Repository))
}

func deletionHint(repo name.Repository) string {
	if isGitHub(repo) {
		return "GitHub removes images by its packages API alone, in a job with permissions: {packages: write}"
	}
	return "allow it there (Docker's registry: storage: {delete: {enabled: true}}), or let the registry remove old images by a rule of its own"
}
