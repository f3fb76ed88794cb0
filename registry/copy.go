package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Copy brings an image to another repository, of the same registry or of
// another, and claims the version's tag for it there. The digest stays the same.
// It reports whether anything was sent: an image that is there already costs two
// requests.
//
// Blobs come first, then manifests, then the tag, so that the tag never names
// half an image. A blob that the repository has is not sent, one that its
// registry has is mounted, and the others flow from one registry to the other
// without a stop on this machine. An index takes all its images along. What
// refers to the image from outside, such as a signature, stays behind.
//
// It is a *NotFound where the image is not in its repository, ErrIncomplete where
// a part of it is not, and a *Taken where the tag names another image there.
func (c *Client) Copy(ctx context.Context, image deploy.Image, repository string) (deploy.Image, bool, error) {
	from, err := parseImage(image)
	if err != nil {
		return deploy.Image{}, false, err
	}
	tag, err := parseTag(repository, image.Version)
	if err != nil {
		return deploy.Image{}, false, err
	}
	copied := deploy.Image{Repository: repository, Digest: image.Digest, Version: image.Version}
	ctx, conn, done, err := c.begin(ctx, transferLimit, "the copy of "+from.Name()+" to "+tag.Name())
	if err != nil {
		return deploy.Image{}, false, err
	}
	defer done()
	j := &journey{connection: conn, image: image, from: from, tag: tag, repository: repository}
	sent, err := j.run(ctx)
	if err != nil {
		return deploy.Image{}, false, err
	}
	return copied, sent, nil
}

// journey is one image on its way from a repository to another.
type journey struct {
	*connection
	image      deploy.Image
	from       name.Digest
	tag        name.Tag
	repository string
	// source and target are the two repositories, logged in.
	source, target *peer
}

// parcel is a manifest as it is stored, with what it refers to.
type parcel struct {
	v1.Descriptor
	raw []byte
	// blobs are what it needs; children are the manifests that an index names.
	blobs    []v1.Descriptor
	children []*parcel
	// there says that the target has it, with all that it refers to.
	there bool
}

func (j *journey) run(ctx context.Context) (sent bool, err error) {
	have, err := j.head(ctx, j.tag)
	switch status := statusOf(err); {
	case err == nil:
		return false, j.unless(have)
	case status != http.StatusNotFound && status != http.StatusForbidden: // some say so of a new repository
		return false, j.arriving(ctx, err)
	}
	if err := j.open(ctx); err != nil {
		return false, err
	}
	top, err := j.survey(ctx, j.from)
	if err != nil {
		return false, j.leaving(ctx, err)
	}
	j.log().Info("copying image", "image", j.from.Name(), "to", j.tag.Name())
	if err := j.sendBlobs(ctx, top); err != nil {
		return false, err
	}
	if err := j.sendManifests(ctx, top); err != nil {
		return false, j.arriving(ctx, err)
	}
	return true, j.claim(ctx, top)
}

// open logs in to both, in one registry with leave to mount.
func (j *journey) open(ctx context.Context) (err error) {
	scopes := []string{j.tag.Scope(transport.PushScope)}
	if j.oneRegistry() {
		scopes = append(scopes, j.from.Scope(transport.PullScope))
	}
	if j.target, err = j.dial(ctx, j.tag.Repository, scopes...); err != nil {
		return j.arriving(ctx, err)
	}
	if j.source, err = j.dial(ctx, j.from.Repository, j.from.Scope(transport.PullScope)); err != nil {
		return j.leaving(ctx, err)
	}
	return nil
}

func (j *journey) oneRegistry() bool { return j.from.RegistryStr() == j.tag.RegistryStr() }

// survey reads a manifest and those that it names. What the target has is not
// looked into.
func (j *journey) survey(ctx context.Context, ref name.Digest) (*parcel, error) {
	got, err := j.get(ctx, ref)
	if statusOf(err) == http.StatusNotFound {
		if ref == j.from {
			return nil, notFound(j.image.Repository, j.image.Digest)
		}
		return nil, incomplete("manifest " + ref.DigestStr())
	}
	if err != nil {
		return nil, err
	}
	m := &parcel{Descriptor: got.Descriptor, raw: got.Manifest}
	if _, err := j.head(ctx, j.tag.Digest(ref.DigestStr())); err == nil {
		m.there = true
		return m, nil
	}
	if !got.MediaType.IsIndex() {
		parsed, err := v1.ParseManifest(bytes.NewReader(got.Manifest))
		if err != nil {
			return nil, fmt.Errorf("manifest %s: %w", got.Digest, err)
		}
		m.blobs = append([]v1.Descriptor{parsed.Config}, parsed.Layers...)
		return m, nil
	}
	return m, j.surveyIndex(ctx, m)
}

func (j *journey) surveyIndex(ctx context.Context, m *parcel) error {
	index, err := v1.ParseIndexManifest(bytes.NewReader(m.raw))
	if err != nil {
		return fmt.Errorf("index %s: %w", m.Digest, err)
	}
	children := make([]*parcel, len(index.Manifests))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, d := range index.Manifests {
		if !d.MediaType.IsIndex() && !d.MediaType.IsImage() { // an index may name anything
			m.blobs = append(m.blobs, d)
			continue
		}
		g.Go(func() (err error) {
			children[i], err = j.survey(ctx, j.from.Digest(d.Digest.String()))
			return err
		})
	}
	err = g.Wait()
	for _, child := range children {
		if child != nil {
			m.children = append(m.children, child)
		}
	}
	return err
}

// wanted are the blobs that a manifest and its children need, each once.
func (m *parcel) wanted(seen map[v1.Hash]bool) []v1.Descriptor {
	if m.there {
		return nil
	}
	var all []v1.Descriptor
	for _, blob := range m.blobs {
		if !seen[blob.Digest] && blob.MediaType.IsDistributable() {
			seen[blob.Digest] = true
			all = append(all, blob)
		}
	}
	for _, child := range m.children {
		all = append(all, child.wanted(seen)...)
	}
	return all
}

func (j *journey) sendBlobs(ctx context.Context, top *parcel) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, blob := range top.wanted(map[v1.Hash]bool{}) {
		g.Go(func() error { return j.sendBlob(ctx, blob) })
	}
	return g.Wait()
}

// sendBlob brings one blob to the target, and begins anew where that breaks.
func (j *journey) sendBlob(ctx context.Context, blob v1.Descriptor) error {
	backoff := j.retry()
	for left := backoff.Steps - 1; ; left-- {
		err := j.tryBlob(ctx, blob)
		if err == nil || left <= 0 || !worthRetrying(err) {
			return err
		}
		j.log().Info("sending a blob anew", "blob", blob.Digest.String(), "error", err)
		if err := rest(ctx, max(backoff.Step(), askedPause(err))); err != nil {
			return j.arriving(ctx, err)
		}
	}
}

func (j *journey) tryBlob(ctx context.Context, blob v1.Descriptor) error {
	there, err := j.target.has(ctx, blob.Digest)
	if err != nil || there {
		return j.arriving(ctx, err)
	}
	at, err := j.beginBlob(ctx, blob)
	if err != nil || at == nil {
		return j.arriving(ctx, err)
	}
	content, err := j.source.read(ctx, blob.Digest, 0)
	if statusOf(err) == http.StatusNotFound {
		return incomplete("blob " + blob.Digest.String())
	}
	if err != nil {
		return j.leaving(ctx, err)
	}
	defer func() { _ = content.Close() }()
	watched := &source{Reader: content}
	err = j.target.send(ctx, at, blob, watched)
	if watched.err != nil && err != nil {
		return j.leaving(ctx, watched.err)
	}
	return j.arriving(ctx, err)
}

// beginBlob asks the target's registry to mount a blob where it may have it. Not
// every registry that cannot do so says it as it should.
func (j *journey) beginBlob(ctx context.Context, blob v1.Descriptor) (at *url.URL, err error) {
	if !j.oneRegistry() {
		return j.target.begin(ctx, blob.Digest, "")
	}
	at, err = j.target.begin(ctx, blob.Digest, j.from.RepositoryStr())
	if _, refused := errors.AsType[*transport.Error](err); refused {
		return j.target.begin(ctx, blob.Digest, "")
	}
	return at, err
}

// sendManifests brings those that an index names before the index.
func (j *journey) sendManifests(ctx context.Context, m *parcel) error {
	if m.there {
		return nil
	}
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, child := range m.children {
		g.Go(func() error { return j.sendManifests(inner, child) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return j.target.put(ctx, m.Digest.String(), m)
}

// claim gives the tag to what has been copied. It looks right before and right
// after, as a push does.
func (j *journey) claim(ctx context.Context, top *parcel) error {
	have, err := j.head(ctx, j.tag)
	switch {
	case err == nil:
		return j.unless(have)
	case statusOf(err) != http.StatusNotFound:
		return j.arriving(ctx, err)
	}
	if err := j.target.put(ctx, j.tag.TagStr(), top); err != nil {
		return j.arriving(ctx, err)
	}
	have, err = j.head(ctx, j.tag)
	if err != nil {
		return j.arriving(ctx, err)
	}
	j.log().Info("claimed tag", "image", j.tag.Name(), "digest", j.image.Digest)
	return j.unless(have)
}

// unless is a *Taken for a tag that names another digest.
func (j *journey) unless(have v1.Hash) error {
	if have.String() == j.image.Digest {
		return nil
	}
	return taken(&Taken{Repository: j.repository, Version: j.tag.TagStr(), Have: have.String(), Want: j.image.Digest})
}

// leaving explains what went wrong where the image comes from, arriving where it
// goes to.
func (j *journey) leaving(ctx context.Context, err error) error {
	return j.explain(ctx, j.from.Repository, err)
}

func (j *journey) arriving(ctx context.Context, err error) error {
	return j.explain(ctx, j.tag.Repository, err)
}

func (j *journey) explain(ctx context.Context, repo name.Repository, err error) error {
	return explain(ctx, "copy "+j.from.Name()+" to "+j.tag.Name(), repo, err)
}

// source remembers what reading has failed with: the request that sends it on
// fails for it, too.
type source struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
