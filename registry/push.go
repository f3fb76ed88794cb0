package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// tagForm is what registries take as a tag.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// Push brings an image to a repository and claims the version's tag for it, in
// this order, so that the tag never names half an image. It reports whether
// anything was sent: a tag that names the same content already costs one
// request, and nothing is compressed or sent. A tag that names other content is
// a *Taken.
//
// The same content is the same configuration, which covers the files of all
// layers: a layer that another release of Slipway compressed to other bytes is
// the same. What is in the registry is what is returned.
func (c *Client) Push(ctx context.Context, img Artifact, repository, version string) (deploy.Image, bool, error) {
	tag, err := parseTag(repository, version)
	if err != nil {
		return deploy.Image{}, false, err
	}
	ctx, conn, done, err := c.begin(ctx, transferLimit, "the push of "+tag.Name())
	if err != nil {
		return deploy.Image{}, false, err
	}
	defer done()
	if p, ok := img.(*Packed); ok {
		defer context.AfterFunc(ctx, p.abort)()
	}
	p := push{connection: conn, img: img, tag: tag, repository: repository}
	digest, sent, err := p.run(ctx)
	if err != nil {
		return deploy.Image{}, false, err
	}
	return deploy.Image{Repository: repository, Digest: digest.String(), Version: version}, sent, nil
}

// push is one image on its way to one tag.
type push struct {
	*connection
	img        Artifact
	tag        name.Tag
	repository string
}

func (p push) run(ctx context.Context) (digest v1.Hash, sent bool, err error) {
	have, err := p.held(ctx)
	if err != nil {
		return digest, false, err
	}
	if have != nil {
		return have.Digest, false, p.mustMatch(ctx, have)
	}
	if digest, err = p.upload(ctx); err != nil {
		return digest, false, err
	}
	return digest, true, p.claim(ctx, digest)
}

// upload brings the image to the repository, by its digest.
func (p push) upload(ctx context.Context) (digest v1.Hash, err error) {
	send := p.pusher.Push
	if img, ok := p.img.(*Packed); ok {
		if err := p.uploadParts(ctx, img); err != nil {
			return digest, err
		}
		send = p.pusher.Put // the manifest alone
	}
	if digest, err = p.img.Digest(); err != nil {
		return digest, p.cannotPack(ctx, err)
	}
	p.log().Info("pushing image", "image", p.tag.Name(), "digest", digest.String())
	return digest, p.explain(ctx, send(ctx, p.tag.Digest(digest.String()), p.img))
}

// uploadParts sends what the registry lacks of an image before its manifest is
// known: while some layers travel, others are compressed.
func (p push) uploadParts(ctx context.Context, img *Packed) error {
	p.reuse(ctx, img)
	config, err := partial.ConfigLayer(img)
	if err != nil {
		return p.cannotPack(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * parallel)
	cpus := make(chan struct{}, min(compressing, runtime.GOMAXPROCS(0)))
	for _, l := range img.largestFirst() {
		g.Go(func() error { return p.uploadOwn(ctx, l, cpus) })
	}
	for _, l := range append(img.base.layers(), config) {
		g.Go(func() error { return p.explain(ctx, p.pusher.Upload(ctx, p.tag.Repository, l)) })
	}
	return g.Wait()
}

// uploadOwn sends a layer unless it was taken over and is there.
func (p push) uploadOwn(ctx context.Context, l *layer, cpus chan struct{}) error {
	if taken, ok := l.takenOver(); ok {
		if p.has(ctx, taken) {
			return nil
		}
		l.forget()
	}
	select {
	case cpus <- struct{}{}:
	case <-ctx.Done(): // another layer could not be sent
		return p.explain(ctx, ctx.Err())
	}
	_, err := l.descriptor()
	<-cpus
	if err != nil {
		return p.cannotPack(ctx, err)
	}
	err = p.pusher.Upload(ctx, p.tag.Repository, l)
	if files := p.filesAtFault(l, err); files != nil {
		return p.cannotPack(ctx, files)
	}
	return p.explain(ctx, err)
}

// filesAtFault is what is wrong with files that were read while they were sent;
// nil if it is not them. A registry finds other bytes than the digest says, and
// refuses them.
func (p push) filesAtFault(l *layer, err error) error {
	var files *unpackable
	switch {
	case errors.As(err, &files):
		return files
	case statusOf(err) == http.StatusBadRequest:
		return l.same()
	}
	return nil
}

// has reports whether a blob is in the repository, as far as it can be told.
func (p push) has(ctx context.Context, digest v1.Hash) bool {
	blob, err := p.puller.Layer(ctx, p.tag.Digest(digest.String()))
	if err != nil {
		return false
	}
	there, err := partial.Exists(blob)
	return err == nil && there
}

// held is what the tag names; nil if it is free.
func (p push) held(ctx context.Context) (*remote.Descriptor, error) {
	have, err := p.get(ctx, p.tag)
	switch statusOf(err) {
	case 0:
		return have, p.explain(ctx, err)
	case http.StatusNotFound:
		return nil, nil
	case http.StatusForbidden:
		// Some registries say so of a repository that does not exist yet. The
		// tag is looked at again before it is claimed.
		return nil, nil
	}
	return nil, p.explain(ctx, err)
}

// mustMatch is a *Taken unless what the tag names is this image.
func (p push) mustMatch(ctx context.Context, have *remote.Descriptor) error {
	own, err := contents(p.img)
	if err != nil {
		return p.cannotPack(ctx, err)
	}
	there, err := held(have)
	if err == nil && len(own) > 0 && slices.Equal(own, there) {
		p.log().Info("image is there already", "image", p.tag.Name(), "digest", have.Digest.String())
		return nil
	}
	want, err := p.img.Digest()
	if err != nil {
		return p.cannotPack(ctx, err)
	}
	return p.unless(have.Digest, want)
}

// held are the contents of what a tag names.
func held(have *remote.Descriptor) ([]string, error) {
	if have.MediaType.IsIndex() {
		index, err := have.ImageIndex()
		if err != nil {
			return nil, err
		}
		return contents(index)
	}
	m, err := partial.Manifest(have)
	if err != nil {
		return nil, err
	}
	return []string{" " + m.Config.Digest.String()}, nil
}

// claim gives the tag to what has been pushed. Registries cannot compare and
// swap, so it looks right before and right after.
func (p push) claim(ctx context.Context, digest v1.Hash) error {
	have, err := p.head(ctx, p.tag)
	switch {
	case err == nil:
		return p.unless(have, digest)
	case statusOf(err) != http.StatusNotFound:
		return p.explain(ctx, err)
	}
	if err := p.pusher.Put(ctx, p.tag, p.img); err != nil {
		return p.explain(ctx, err)
	}
	have, err = p.head(ctx, p.tag)
	if err != nil {
		return p.explain(ctx, err)
	}
	p.log().Info("claimed tag", "image", p.tag.Name(), "digest", digest.String())
	return p.unless(have, digest)
}

// unless is a *Taken for a tag that names another digest.
func (p push) unless(have, want v1.Hash) error {
	if have == want {
		return nil
	}
	return taken(&Taken{Repository: p.repository, Version: versionOf(p.tag.TagStr()), Have: have.String(), Want: want.String()})
}

func (p push) cannotPack(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = interruption(ctx)
	}
	return fmt.Errorf("pack %s: %w", p.tag.Name(), err)
}

func (p push) explain(ctx context.Context, err error) error {
	return explain(ctx, "push "+p.tag.Name(), p.tag.Repository, err)
}

// get is the manifest that a reference names.
func (c *connection) get(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	got, err := c.puller.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	return got, mustBeManifest(ref, got.MediaType)
}

// head is the digest that a reference names. Not every registry gives a digest
// without the manifest.
func (c *connection) head(ctx context.Context, ref name.Reference) (v1.Hash, error) {
	d, err := c.puller.Head(ctx, ref)
	if err == nil {
		return d.Digest, mustBeManifest(ref, d.MediaType)
	}
	if status := statusOf(err); status != 0 && status != http.StatusMethodNotAllowed {
		return v1.Hash{}, err
	}
	got, err := c.get(ctx, ref)
	if err != nil {
		return v1.Hash{}, err
	}
	return got.Digest, nil
}

// mustBeManifest refuses what stands between here and a registry, such as a
// network that first wants to be logged in to. Its page would have a digest,
// too.
func mustBeManifest(ref name.Reference, t types.MediaType) error {
	if t.IsImage() || t.IsIndex() || t.IsSchema1() {
		return nil
	}
	return deploy.Hinted(fmt.Errorf("%s answered with %q and not with a manifest", ref.Context().RegistryStr(), string(t)),
		"check the name of the registry, and whether a proxy on the way to it wants a login")
}
