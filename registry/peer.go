package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// peer is a repository that is spoken to request by request, logged in.
type peer struct {
	repo   name.Repository
	client *http.Client
}

// dial logs in to a repository, to do what the scopes say.
func (c *Client) dial(ctx context.Context, repo name.Repository, scopes ...string) (*peer, error) {
	account := authn.Anonymous
	if c.Keychain != nil {
		found, err := authn.Resolve(ctx, c.Keychain, repo)
		if err != nil {
			return nil, err
		}
		account = found
	}
	way := transport.NewUserAgent(c.transport(), "slipway")
	way, err := transport.NewWithContext(ctx, repo.Registry, account, way, scopes)
	if err != nil {
		return nil, err
	}
	return &peer{repo: repo, client: &http.Client{Transport: way, CheckRedirect: staysOutside}}, nil
}

// errInside means that a registry elsewhere sent a request to this network.
var errInside = errors.New("a registry elsewhere sends on to an address of this network")

// staysOutside follows no redirect from another host to a private address, such
// as that where a machine in a cloud is told its secrets.
func staysOutside(next *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("too many redirects")
	}
	return mayGo(via[0].URL, next.URL)
}

func mayGo(from, to *url.URL) error {
	ip, err := netip.ParseAddr(to.Hostname())
	if err == nil && from.Hostname() != to.Hostname() && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLoopback()) {
		return errInside
	}
	return nil
}

// url is an address of the repository, such as that of manifests/1.4.2.
func (p *peer) url(path string) *url.URL {
	return &url.URL{Scheme: p.repo.Scheme(), Host: p.repo.RegistryStr(), Path: "/v2/" + p.repo.RepositoryStr() + "/" + path}
}

// do sends a request and gives the answer where its status is one of those that
// are good. The body of the answer has to be closed.
func (p *peer) do(r *http.Request, good ...int) (*http.Response, error) {
	answer, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(answer, good...); err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	return answer, nil
}

// has says whether the repository has a blob.
func (p *peer) has(ctx context.Context, blob v1.Hash) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, p.url("blobs/"+blob.String()).String(), http.NoBody)
	if err != nil {
		return false, err
	}
	answer, err := p.do(r, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	drop(answer)
	return answer.StatusCode == http.StatusOK, nil
}

// read opens a blob, or the rest of it from an offset on, in bytes.
func (p *peer) read(ctx context.Context, blob v1.Hash, offset int64) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url("blobs/"+blob.String()).String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept-Encoding", "identity") // the bytes as they are stored
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	answer, err := p.do(r, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	if offset > 0 && answer.StatusCode == http.StatusOK { // it does not know ranges
		if _, err := io.CopyN(io.Discard, answer.Body, offset); err != nil {
			_ = answer.Body.Close()
			return nil, err
		}
	}
	return answer.Body, nil
}

// begin starts an upload and gives its address; nil where the blob has been
// mounted from a repository of the same registry instead. An empty from mounts
// nothing.
func (p *peer) begin(ctx context.Context, blob v1.Hash, from string) (*url.URL, error) {
	at := p.url("blobs/uploads/")
	if from != "" {
		at.RawQuery = url.Values{"mount": {blob.String()}, "from": {from}}.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := p.do(r, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	drop(answer)
	if answer.StatusCode == http.StatusCreated {
		return nil, nil
	}
	return next(answer)
}

// next is where an upload goes on.
func next(answer *http.Response) (*url.URL, error) {
	at, err := answer.Location()
	if err != nil {
		return nil, fmt.Errorf("begin an upload: %w", err)
	}
	return at, mayGo(answer.Request.URL, at)
}

// send finishes an upload with its whole content. The registry holds it against
// the digest and takes nothing else.
func (p *peer) send(ctx context.Context, at *url.URL, blob v1.Descriptor, content io.Reader) error {
	whole := *at
	query := whole.Query()
	query.Set("digest", blob.Digest.String())
	whole.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, whole.String(), io.NopCloser(content))
	if err != nil {
		return err
	}
	r.ContentLength = blob.Size
	r.Header.Set("Content-Type", "application/octet-stream")
	answer, err := p.do(r, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	drop(answer)
	return nil
}

// put gives a reference, a tag or a digest, to a manifest.
func (p *peer) put(ctx context.Context, reference string, m *parcel) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, p.url("manifests/"+reference).String(), bytes.NewReader(m.raw))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", string(m.MediaType))
	answer, err := p.do(r, http.StatusOK, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return err
	}
	drop(answer)
	return nil
}
