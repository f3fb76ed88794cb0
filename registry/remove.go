package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/name"
)

// isVersion reports whether a name is a semantic version.
func isVersion(name string) bool {
	_, err := semver.StrictNewVersion(name)
	return err == nil
}

// versionOf is the version that a tag names: the way back from deploy.TagOf.
// Every other tag stays what it is.
func versionOf(tag string) string {
	if version := strings.Replace(tag, "_", "+", 1); isVersion(version) {
		return version
	}
	return tag
}

// Versions lists the versions of a repository, and its other tags, in no order;
// none where there is no such repository.
func (c *Client) Versions(ctx context.Context, repository string) ([]string, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	ctx, conn, done, err := c.begin(ctx, lookupLimit, repo.RegistryStr()+" to list the versions of "+repo.Name())
	if err != nil {
		return nil, err
	}
	defer done()
	tags, err := conn.tags(ctx, repo)
	for i, tag := range tags {
		tags[i] = versionOf(tag)
	}
	return tags, err
}

func (c *connection) tags(ctx context.Context, repo name.Repository) ([]string, error) {
	tags, err := c.puller.List(ctx, repo)
	if statusOf(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, explain(ctx, "list the versions of "+repo.Name(), repo, err)
	}
	return tags, nil
}

// Remove removes the images of all versions that begin with a prefix, such as
// "0.0.0-pr.12.", and names them. What another version's tag names, too, keeps
// its content where the registry can remove a tag alone; elsewhere the prefix
// has to be one that no other version's image is shared with. A repository that
// is not there has nothing to remove.
func (c *Client) Remove(ctx context.Context, repository, prefix string) ([]string, error) {
	if prefix == "" {
		return nil, errors.New("no prefix: all versions would be removed")
	}
	repo, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	ctx, conn, done, err := c.begin(ctx, lookupLimit, repo.RegistryStr()+" to remove versions of "+repo.Name())
	if err != nil {
		return nil, err
	}
	defer done()
	tags, err := conn.tags(ctx, repo)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, tag := range tags {
		if !strings.HasPrefix(tag, prefix) {
			continue
		}
		if err := conn.remove(ctx, repo.Tag(tag)); err != nil {
			return removed, explain(ctx, "remove "+repo.Tag(tag).Name(), repo, err)
		}
		removed = append(removed, tag)
	}
	return removed, nil
}

// remove removes a tag, or else the manifest that it names: not every registry
// can do the former.
func (c *connection) remove(ctx context.Context, tag name.Tag) error {
	err := c.pusher.Delete(ctx, tag)
	switch statusOf(err) {
	case http.StatusNotFound:
		return nil
	case http.StatusMethodNotAllowed, http.StatusBadRequest:
		digest, err := c.head(ctx, tag)
		if err != nil {
			return err
		}
		return c.pusher.Delete(ctx, tag.Digest(digest.String()))
	}
	return err
}
