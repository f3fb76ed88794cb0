package main

import (
	"context"
	"errors"
	"strings"

	"github.com/slipway-ci/slipway/forge"
)

// packageRemover removes images from GitHub's registry by its API. It reads each
// package once.
func (s *session) packageRemover() func(ctx context.Context, repository, digest string) error {
	known := map[string]*forge.Package{}
	return func(ctx context.Context, repository, digest string) error {
		path, ours := strings.CutPrefix(repository, packages+"/")
		owner, name, below := strings.Cut(path, "/")
		if !ours || !below {
			return errors.ErrUnsupported
		}
		if known[repository] == nil {
			known[repository] = s.forge.Package(owner, name)
		}
		return known[repository].Remove(ctx, digest)
	}
}
