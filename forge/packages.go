package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-github/v60/github"
)

// Package is an image's repository in GitHub's registry, such as hello of acme
// for ghcr.io/acme/hello. Images are removed there by GitHub's API alone. It is
// for one goroutine.
type Package struct {
	// Owner is an organization or a user, Name the path below it.
	Owner, Name string

	client *Client
	// ids are GitHub's numbers of the images, by digest, once they were read.
	ids map[string]int64
	// user says that the owner is no organization.
	user bool
}

// Package is the one that an image is in.
func (c *Client) Package(owner, name string) *Package {
	return &Package{Owner: owner, Name: name, client: c}
}

// writePackages is the permission that all of this takes. The repository has to
// be an administrator of the package, as one is from which it was first pushed.
const writePackages = "packages: write"

// Remove removes an image by its digest, with its tags. One that is not there is
// removed.
func (p *Package) Remove(ctx context.Context, digest string) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	id, there := p.ids[digest]
	if !there {
		return nil
	}
	err := p.client.Do(ctx, fmt.Sprintf("remove %s of the package %s", digest, p.Name), writePackages, func(ctx context.Context) error {
		_, err := p.call(ctx, http.MethodDelete, fmt.Sprintf("versions/%d", id), nil)
		return err
	})
	if err == nil || status(err) == http.StatusNotFound {
		delete(p.ids, digest)
		return nil
	}
	return err
}

// read lists what is there, first as an organization's, then as a user's: a name
// does not tell.
func (p *Package) read(ctx context.Context) error {
	if p.ids != nil {
		return nil
	}
	ids, err := p.list(ctx)
	if status(err) == http.StatusNotFound {
		p.user = true
		ids, err = p.list(ctx)
	}
	if err == nil {
		p.ids = ids
	}
	return err
}

func (p *Package) list(ctx context.Context) (map[string]int64, error) {
	ids := map[string]int64{}
	for page := 1; page != 0; {
		var versions []*github.PackageVersion
		var answer *github.Response
		err := p.client.Do(ctx, "list the images of the package "+p.Name, writePackages, func(ctx context.Context) (err error) {
			answer, err = p.call(ctx, http.MethodGet, "versions"+p.query(page), &versions)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			ids[v.GetName()] = v.GetID()
		}
		page = answer.NextPage
	}
	return ids, nil
}

// query asks for a page. GitHub describes none for users, and links to the next
// one all the same.
func (p *Package) query(page int) string {
	switch {
	case !p.user:
		return fmt.Sprintf("?per_page=100&page=%d", page)
	case page > 1:
		return fmt.Sprintf("?page=%d", page)
	}
	return ""
}

// call makes one request about the package. The library's own would not escape
// the slash in a name everywhere.
func (p *Package) call(ctx context.Context, method, what string, into any) (*github.Response, error) {
	kind := "orgs"
	if p.user {
		kind = "users"
	}
	path := fmt.Sprintf("%s/%s/packages/container/%s/%s", kind, url.PathEscape(p.Owner), url.PathEscape(p.Name), what)
	request, err := p.client.API.NewRequest(method, path, nil)
	if err != nil {
		return nil, err
	}
	return p.client.API.Do(ctx, request, into)
}

// status is what GitHub refused with; 0 where it did not.
func status(err error) int {
	if denied, ok := errors.AsType[*Denied](err); ok {
		return denied.Status
	}
	return 0
}
