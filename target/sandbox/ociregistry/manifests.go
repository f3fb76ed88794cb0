package ociregistry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxManifest is the size up to which registries must take manifests.
const maxManifest = 4 << 20

const ociIndex = types.OCIImageIndex

// mediaTypes is wide, but keeps a media type on the line it is stored on.
var mediaTypes = regexp.MustCompile(`^[[:graph:]][[:print:]]{0,254}$`)

// contents are what a manifest of any kind says of others.
type contents struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// parse reads a manifest.
func (m manifest) parse() (contents, error) {
	var c contents
	if err := json.Unmarshal(m.content, &c); err != nil {
		return contents{}, refuse(http.StatusBadRequest, codeManifestInvalid, "manifest is not valid: %v", err)
	}
	if c.SchemaVersion != 2 {
		return contents{}, refuse(http.StatusBadRequest, codeManifestInvalid, "manifest has schemaVersion %d, not 2", c.SchemaVersion)
	}
	for _, d := range slices.Concat(c.blobs(), c.Manifests) {
		if d.Digest.Hex == "" {
			return contents{}, refuse(http.StatusBadRequest, codeManifestInvalid, "manifest refers to something without a digest")
		}
	}
	return c, nil
}

// blobs are the descriptors of what has to be in the registry as blobs.
func (c contents) blobs() []v1.Descriptor {
	var ds []v1.Descriptor
	if c.Config != nil {
		ds = append(ds, *c.Config)
	}
	for _, l := range c.Layers {
		if l.MediaType.IsDistributable() {
			ds = append(ds, l)
		}
	}
	return ds
}

// getManifest answers with a manifest by tag or digest.
func (r *Registry) getManifest(w http.ResponseWriter, _ *http.Request, to route) error {
	m, err := r.find(to)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", m.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(m.content)))
	h.Set("Docker-Content-Digest", m.digest.String())
	h.Set("ETag", strconv.Quote(m.digest.String()))
	_, _ = w.Write(m.content) // the client may be gone
	return nil
}

// find reads the manifest that a reference names.
func (r *Registry) find(to route) (manifest, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, err := r.resolve(to)
	if err != nil {
		return manifest{}, err
	}
	m, err := r.store.getManifest(to.name, h)
	if errors.Is(err, errAbsent) {
		return manifest{}, unknownManifest(to)
	}
	return m, err
}

// resolve turns a reference into a digest.
func (r *Registry) resolve(to route) (v1.Hash, error) {
	if isDigest(to.target) {
		return parseDigest(to.target)
	}
	if !validTag(to.target) {
		return v1.Hash{}, refuse(http.StatusBadRequest, codeTagInvalid, "tag %q is not valid", to.target)
	}
	h, err := r.store.getTag(to.name, to.target)
	if errors.Is(err, errAbsent) {
		return v1.Hash{}, unknownManifest(to)
	}
	return h, err
}

func unknownManifest(to route) error {
	return refuse(http.StatusNotFound, codeManifestUnknown, "%s has no manifest %s", to.name, to.target)
}

// putManifest stores a manifest, and the tag when it comes by one.
func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, to route) error {
	m, err := receive(req, to)
	if err != nil {
		return err
	}
	c, err := m.parse()
	if err != nil {
		return err
	}
	if m.mediaType = mediaTypeOf(req, c); !mediaTypes.MatchString(m.mediaType) {
		return refuse(http.StatusBadRequest, codeManifestInvalid, "media type %q is not valid", m.mediaType)
	}
	if err := r.keep(to, m, c); err != nil {
		return err
	}
	if c.Subject != nil {
		w.Header().Set("OCI-Subject", c.Subject.Digest.String())
	}
	w.Header().Set("Docker-Content-Digest", m.digest.String())
	w.Header().Set("Location", "/v2/"+to.name+"/manifests/"+m.digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// receive reads a manifest and holds it against its reference.
func receive(req *http.Request, to route) (manifest, error) {
	if !isDigest(to.target) && !validTag(to.target) {
		return manifest{}, refuse(http.StatusBadRequest, codeTagInvalid, "tag %q is not valid", to.target)
	}
	content, err := io.ReadAll(io.LimitReader(req.Body, maxManifest+1))
	if err != nil {
		return manifest{}, refuse(http.StatusBadRequest, codeManifestInvalid, "manifest was cut off")
	}
	if len(content) > maxManifest {
		return manifest{}, refuse(http.StatusRequestEntityTooLarge, codeSizeInvalid, "manifest is larger than %d bytes", maxManifest)
	}
	h, _, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return manifest{}, err
	}
	if isDigest(to.target) && to.target != h.String() {
		return manifest{}, refuse(http.StatusBadRequest, codeDigestInvalid, "manifest has digest %s, not %s", h, to.target)
	}
	return manifest{digest: h, content: content}, nil
}

// mediaTypeOf is what the client says, or else the manifest itself.
func mediaTypeOf(req *http.Request, c contents) string {
	if t := req.Header.Get("Content-Type"); t != "" {
		return t
	}
	switch {
	case c.MediaType != "":
		return string(c.MediaType)
	case c.Manifests != nil:
		return string(ociIndex)
	}
	return string(types.OCIManifestSchema1)
}

// keep stores a manifest when all that it needs is there. When the tag cannot
// be written, a manifest that is new is taken away again: the push failed, and
// nothing of it is to be seen.
func (r *Registry) keep(to route, m manifest, c contents) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.complete(to.name, c); err != nil {
		return err
	}
	old, err := r.store.getManifest(to.name, m.digest)
	known := err == nil
	if !known || old.mediaType != m.mediaType {
		if err := r.store.putManifest(to.name, m); err != nil {
			return err
		}
	}
	if isDigest(to.target) {
		return nil
	}
	if now, err := r.store.getTag(to.name, to.target); err == nil && now == m.digest {
		return nil
	}
	err = r.store.putTag(to.name, to.target, m.digest)
	if err != nil && !known {
		err = errors.Join(err, r.store.remove(r.store.manifestPath(to.name, m.digest)))
	}
	return err
}

// complete checks that blobs and manifests which a manifest needs are there.
func (r *Registry) complete(name string, c contents) error {
	for _, d := range c.blobs() {
		ok, err := r.store.hasBlob(d.Digest)
		if err != nil {
			return err
		}
		if !ok {
			return refuse(http.StatusNotFound, codeManifestBlobUnknown, "blob %s is not in the registry", d.Digest)
		}
	}
	for _, d := range c.Manifests {
		if !d.MediaType.IsImage() && !d.MediaType.IsIndex() {
			continue
		}
		_, err := r.store.getManifest(name, d.Digest)
		if errors.Is(err, errAbsent) {
			return refuse(http.StatusNotFound, codeManifestUnknown, "%s has no manifest %s", name, d.Digest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteManifest removes a tag, or a manifest with all its tags.
func (r *Registry) deleteManifest(w http.ResponseWriter, _ *http.Request, to route) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, err := r.resolve(to)
	if err != nil {
		return err
	}
	if isDigest(to.target) {
		err = r.removeManifest(to.name, h)
	} else {
		err = r.store.remove(r.store.tagPath(to.name, to.target))
	}
	if errors.Is(err, errAbsent) {
		return unknownManifest(to)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// removeManifest removes the tags first: a tag never names what is not there.
func (r *Registry) removeManifest(name string, h v1.Hash) error {
	tags, err := r.store.tags(name)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if named, err := r.store.getTag(name, tag); err != nil || named != h {
			continue
		}
		if err := r.store.remove(r.store.tagPath(name, tag)); err != nil {
			return err
		}
	}
	return r.store.remove(r.store.manifestPath(name, h))
}

// referrers describes the manifests in a repository whose subject is target.
func (r *Registry) referrers(name string, target v1.Hash, artifactType string) ([]v1.Descriptor, error) {
	found := []v1.Descriptor{}
	err := r.each(name, func(m manifest, c contents) {
		if c.Subject == nil || c.Subject.Digest != target {
			return
		}
		d := describe(m, c)
		if artifactType == "" || d.ArtifactType == artifactType {
			found = append(found, d)
		}
	})
	return found, err
}

// describe makes the descriptor by which a referrer is listed.
func describe(m manifest, c contents) v1.Descriptor {
	kind := c.ArtifactType
	if kind == "" && c.Config != nil {
		kind = string(c.Config.MediaType)
	}
	return v1.Descriptor{
		MediaType:    types.MediaType(m.mediaType),
		Digest:       m.digest,
		Size:         int64(len(m.content)),
		ArtifactType: kind,
		Annotations:  c.Annotations,
	}
}

// each visits every sound manifest of a repository.
func (r *Registry) each(name string, visit func(manifest, contents)) error {
	hs, err := r.store.manifests(name)
	if err != nil && !errors.Is(err, errAbsent) {
		return err
	}
	for _, h := range hs {
		m, err := r.store.getManifest(name, h)
		if errors.Is(err, errAbsent) {
			continue
		}
		if err != nil {
			return err
		}
		if c, err := m.parse(); err == nil {
			visit(m, c)
		}
	}
	return nil
}
