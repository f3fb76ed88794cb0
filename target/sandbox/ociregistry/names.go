package ociregistry

import (
	"net/http"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxName is the longest repository name; the specification leaves it to
// registries, and many clients count with 255.
const maxName = 255

// The grammar of the distribution specification. No match can leave a folder:
// there is no "." alone, no "..", no empty component, no separator but "/".
var (
	nameGrammar = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// route is what a request is about.
type route struct {
	kind   string // one of the kinds below
	name   string // repository
	target string // tag, digest or upload
}

// Kinds of routes.
const (
	kindVersion   = "version"
	kindCatalog   = "catalog"
	kindTags      = "tags"
	kindManifest  = "manifest"
	kindBlob      = "blob"
	kindUploads   = "uploads"
	kindUpload    = "upload"
	kindReferrers = "referrers"
)

// parseRoute takes a path apart from its end, as a repository may be called
// "manifests" or "tags", too. Repository names in its result are valid.
func parseRoute(path string) (route, error) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok {
		return route{}, refuse(http.StatusNotFound, codeUnsupported, "this registry answers under /v2/ only")
	}
	switch rest {
	case "", "/":
		return route{kind: kindVersion}, nil
	case "/_catalog":
		return route{kind: kindCatalog}, nil
	}
	r, ok := split(strings.Split(strings.TrimPrefix(rest, "/"), "/"))
	if !ok {
		return route{}, refuse(http.StatusNotFound, codeUnsupported, "this registry has no such path")
	}
	if !validName(r.name) {
		return route{}, refuse(http.StatusBadRequest, codeNameInvalid, "repository name %q is not valid", r.name)
	}
	return r, nil
}

// split tells repository, kind and target apart.
func split(elems []string) (route, bool) {
	n := len(elems)
	if n < 3 {
		return route{}, false
	}
	name := strings.Join(elems[:n-2], "/")
	last := elems[n-1]
	switch elems[n-2] {
	case "uploads":
		return splitUpload(elems)
	case "blobs":
		if last == "uploads" {
			return route{kindUploads, name, ""}, true
		}
		return route{kindBlob, name, last}, true
	case "manifests":
		return route{kindManifest, name, last}, true
	case "referrers":
		return route{kindReferrers, name, last}, true
	case "tags":
		return route{kindTags, name, ""}, last == "list"
	}
	return route{}, false
}

// splitUpload takes apart what ends with blobs/uploads/ and an upload, or no
// upload yet.
func splitUpload(elems []string) (route, bool) {
	n := len(elems)
	if n < 4 || elems[n-3] != "blobs" {
		return route{}, false
	}
	name := strings.Join(elems[:n-3], "/")
	if last := elems[n-1]; last != "" {
		return route{kindUpload, name, last}, true
	}
	return route{kindUploads, name, ""}, true
}

// validName reports whether a repository may be called so.
func validName(name string) bool { return len(name) <= maxName && nameGrammar.MatchString(name) }

// validTag reports whether a tag may be called so.
func validTag(tag string) bool { return tagGrammar.MatchString(tag) }

// parseDigest reads a digest that is valid: sha256 alone, in lower case.
func parseDigest(s string) (v1.Hash, error) {
	h, err := v1.NewHash(s)
	if err != nil || h.String() != s {
		return v1.Hash{}, refuse(http.StatusBadRequest, codeDigestInvalid, "%q is not a sha256 digest", s)
	}
	return h, nil
}

// isDigest tells a digest from a tag, which has no colon.
func isDigest(reference string) bool { return strings.Contains(reference, ":") }
