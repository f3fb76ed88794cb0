package registry

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// find reads a manifest where it is nearest: at the mirror of its registry, if it
// has one, and else, or where the mirror does not give it, at the registry. It
// says in which repository it was found.
func (c *connection) find(ctx context.Context, ref name.Reference) (*remote.Descriptor, name.Repository, error) {
	if mirrored, ok := c.mirrored(ref); ok {
		got, err := c.get(ctx, mirrored)
		if err == nil || ctx.Err() != nil {
			return got, mirrored.Context(), err
		}
		c.log().Warn("the mirror does not give it", "image", mirrored.Name(), "error", err)
	}
	got, err := c.get(ctx, ref)
	return got, ref.Context(), err
}

// mirrored is a reference at the mirror of its registry, if it has one.
func (c *Client) mirrored(ref name.Reference) (name.Reference, bool) {
	repo := ref.Context()
	for registry, mirror := range c.Mirrors {
		if known, err := name.NewRegistry(registry); err != nil || known.RegistryStr() != repo.RegistryStr() {
			continue
		}
		at, err := parseRepository(strings.TrimSuffix(mirror, "/") + "/" + repo.RepositoryStr())
		if err != nil {
			return nil, false
		}
		if digest, ok := ref.(name.Digest); ok {
			return at.Digest(digest.DigestStr()), true
		}
		return at.Tag(ref.Identifier()), true
	}
	return nil, false
}
