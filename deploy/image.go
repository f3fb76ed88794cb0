package deploy

import (
	"fmt"
	"strings"
)

// Image is one immutable image: where it is, and which content it has. What
// travels through a release is the digest; the version is its name for people.
type Image struct {
	// Repository is registry and path, such as ghcr.io/acme/hello.
	Repository string `json:"repository"`
	// Digest is the manifest's, such as sha256:9f86d0….
	Digest string `json:"digest"`
	// Version is the semver that its tag names, with its build metadata.
	Version string `json:"version"`
}

// TagOf is the tag by which a registry knows a version. Tags have no "+", so
// that build metadata begins with "_" there: 1.4.2+build.5 is 1.4.2_build.5.
// No semver has a "_" of its own, so that the way back is known.
func TagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }

// Reference is the form by which the image is pulled: repository@digest.
func (i Image) Reference() string { return i.Repository + "@" + i.Digest }

// String is the reference with the version for people. An image that was not
// pushed anywhere is its version and digest.
func (i Image) String() string {
	if i.Repository == "" {
		return i.Version + "@" + i.Digest
	}
	return fmt.Sprintf("%s:%s@%s", i.Repository, TagOf(i.Version), i.Digest)
}

// ShortDigest keeps 12 characters of a digest's hash, enough for people to
// tell images apart.
func ShortDigest(digest string) string {
	_, hash, found := strings.Cut(digest, ":")
	if !found {
		hash = digest
	}
	return hash[:min(12, len(hash))]
}
