package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v60/github"
)

// Pull is a pull request, as far as its preview depends on it.
type Pull struct {
	Open   bool
	Merged bool
	// BranchGone: the branch that it came from was deleted, or the fork with it.
	BranchGone bool
}

// Over says why a pull request needs no preview any more; empty where it does.
func (p Pull) Over() string {
	switch {
	case p.Merged:
		return "it was merged"
	case p.BranchGone:
		return "its branch was deleted"
	case !p.Open:
		return "it was closed"
	}
	return ""
}

// Pull reads a pull request by its number.
func (c *Client) Pull(ctx context.Context, number int) (Pull, error) {
	var found *github.PullRequest
	doing := fmt.Sprintf("read pull request #%d", number)
	err := c.Do(ctx, doing, "pull-requests: read", func(ctx context.Context) (err error) {
		found, _, err = c.API.PullRequests.Get(ctx, c.Owner, c.Name, number)
		return err
	})
	if err != nil {
		return Pull{}, err
	}
	p := Pull{Open: found.GetState() == "open", Merged: found.GetMerged()}
	head := found.GetHead()
	switch {
	case head.Repo == nil: // the fork is gone; GitHub leaves the pull request open
		p.BranchGone = true
	case !p.Open && !p.Merged && strings.EqualFold(head.GetRepo().GetFullName(), c.Owner+"/"+c.Name):
		p.BranchGone = c.branchGone(ctx, head.GetRef())
	}
	return p, nil
}

// branchGone reports whether a branch of the repository is known not to be
// there. It asks for all that begin with the name: that there are none is an
// answer, and a token that may not read them gets another one.
func (c *Client) branchGone(ctx context.Context, name string) bool {
	var refs []*github.Reference
	err := c.Do(ctx, "look for the branch "+name, "contents: read", func(ctx context.Context) (err error) {
		refs, _, err = c.API.Git.ListMatchingRefs(ctx, c.Owner, c.Name, &github.ReferenceListOptions{Ref: "heads/" + name})
		return err
	})
	if err != nil {
		return false // closed is reason enough
	}
	for _, ref := range refs {
		if ref.GetRef() == "refs/heads/"+name {
			return false
		}
	}
	return true
}

// get reads something of the repository, by the parts of its path, which may
// hold any character.
func (c *Client) get(ctx context.Context, into any, parts ...string) error {
	request, err := c.API.NewRequest(http.MethodGet, c.path(parts...), nil)
	if err != nil {
		return err
	}
	_, err = c.API.Do(ctx, request, into)
	return err
}

func (c *Client) path(parts ...string) string {
	path := "repos/" + url.PathEscape(c.Owner) + "/" + url.PathEscape(c.Name)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}
