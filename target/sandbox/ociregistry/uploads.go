package ociregistry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// maxAge is how long an upload may lie untouched before it is dropped.
	maxAge = time.Hour
	// maxDrain is how much more of a body is read after its upload failed: a
	// client that still writes would see a reset connection, not the reason.
	maxDrain = 1 << 30
)

// uploads are the blobs that are being pushed. They do not survive a restart,
// after which clients begin again.
type uploads struct {
	store *store
	now   func() time.Time

	mu   sync.Mutex
	open map[string]*upload
}

// upload is a blob of which a part has come.
type upload struct {
	id, name string

	mu      sync.Mutex // one request at a time
	file    *os.File   // nil once it is over
	sum     hash.Hash
	size    int64
	touched time.Time // guarded by uploads.mu
}

// begin opens an upload, and drops those that were left behind.
func (u *uploads) begin(name string) (*upload, error) {
	u.dropOld()
	f, err := u.store.newTemp()
	if err != nil {
		return nil, err
	}
	n := &upload{id: rand.Text(), name: name, file: f, sum: sha256.New(), touched: u.now()}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open[n.id] = n
	return n, nil
}

// find is an upload under way in a repository.
func (u *uploads) find(to route) (*upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, ok := u.open[to.target]
	if !ok || n.name != to.name {
		return nil, unknownUpload(to)
	}
	n.touched = u.now()
	return n, nil
}

func unknownUpload(to route) error {
	return refuse(http.StatusNotFound, codeBlobUploadUnknown, "%s has no upload %s", to.name, to.target)
}

// dropOld ends uploads whose clients have gone away.
func (u *uploads) dropOld() {
	u.mu.Lock()
	var old []*upload
	for _, n := range u.open {
		if u.now().Sub(n.touched) > maxAge {
			old = append(old, n)
		}
	}
	u.mu.Unlock()
	for _, n := range old {
		if n.mu.TryLock() { // or it is in use after all
			u.drop(n)
			n.mu.Unlock()
		}
	}
}

// drop ends an upload, whose lock the caller holds, and removes what came.
func (u *uploads) drop(n *upload) {
	u.forget(n)
	if n.file != nil {
		_ = n.file.Close()           // what it holds is not wanted
		_ = os.Remove(n.file.Name()) // or else the next start removes it
		n.file = nil
	}
}

// forget takes an upload off the list.
func (u *uploads) forget(n *upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, n.id)
}

// receive appends a body to an upload. When that fails, whether the client
// broke off or the disk is full, the upload is over and nothing is left of it.
func (u *uploads) receive(n *upload, req *http.Request) error {
	if n.file == nil {
		return unknownUpload(route{name: n.name, target: n.id})
	}
	from := &source{from: req.Body}
	written, err := io.Copy(io.MultiWriter(n.file, n.sum), from)
	n.size += written
	if err == nil {
		return nil
	}
	u.drop(n)
	if from.err != nil {
		return &refusal{http.StatusBadRequest, codeBlobUploadInvalid, "upload was cut off", from.err}
	}
	_, _ = io.CopyN(io.Discard, req.Body, maxDrain) // only so that the client reads the answer
	return err
}

// finish gives the blob its place when it has the digest that it should have.
// In every other case nothing is left of it.
func (u *uploads) finish(n *upload, want v1.Hash) error {
	if got := hex.EncodeToString(n.sum.Sum(nil)); got != want.Hex {
		u.drop(n)
		return refuse(http.StatusBadRequest, codeDigestInvalid, "blob has digest sha256:%s, not %s", got, want)
	}
	f := n.file
	n.file = nil
	u.forget(n)
	return u.store.putBlob(f, want)
}

// source tells an error of the client from one of the disk.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// startUpload opens an upload, takes a whole blob when the digest is given, or
// finds that the blob to mount is there already.
func (r *Registry) startUpload(w http.ResponseWriter, req *http.Request, to route) error {
	query := req.URL.Query()
	if h, err := parseDigest(query.Get("mount")); err == nil {
		if ok, err := r.store.hasBlob(h); err == nil && ok {
			return created(w, to, h)
		}
	}
	var want v1.Hash
	if query.Has("digest") {
		var err error
		if want, err = parseDigest(query.Get("digest")); err != nil {
			return err
		}
	}
	n, err := r.uploads.begin(to.name)
	if err != nil {
		return err
	}
	if !query.Has("digest") {
		n.accepted(w)
		return nil
	}
	return r.conclude(w, req, n, want)
}

// conclude receives what remains of a blob and stores it.
func (r *Registry) conclude(w http.ResponseWriter, req *http.Request, n *upload, want v1.Hash) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.follows(w, req); err != nil {
		return err
	}
	if err := r.uploads.receive(n, req); err != nil {
		return err
	}
	if err := r.uploads.finish(n, want); err != nil {
		return err
	}
	return created(w, route{name: n.name}, want)
}

// created says where the blob is.
func created(w http.ResponseWriter, to route, h v1.Hash) error {
	w.Header().Set("Location", "/v2/"+to.name+"/blobs/"+h.String())
	w.Header().Set("Docker-Content-Digest", h.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// accepted says where the rest of the upload goes.
func (n *upload) accepted(w http.ResponseWriter) {
	n.headers(w)
	w.WriteHeader(http.StatusAccepted)
}

// headers tell how much has come.
func (n *upload) headers(w http.ResponseWriter) {
	w.Header().Set("Location", "/v2/"+n.name+"/blobs/uploads/"+n.id)
	w.Header().Set("Docker-Upload-UUID", n.id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, n.size-1)))
}

// uploadStatus tells how much has come.
func (r *Registry) uploadStatus(w http.ResponseWriter, _ *http.Request, to route) error {
	n, err := r.uploads.find(to)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.headers(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// continueUpload appends a chunk.
func (r *Registry) continueUpload(w http.ResponseWriter, req *http.Request, to route) error {
	n, err := r.uploads.find(to)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.follows(w, req); err != nil {
		return err
	}
	if err := r.uploads.receive(n, req); err != nil {
		return err
	}
	n.accepted(w)
	return nil
}

// follows checks that a chunk with a Content-Range begins where the last one
// ended.
func (n *upload) follows(w http.ResponseWriter, req *http.Request) error {
	header := req.Header.Get("Content-Range")
	if header == "" {
		return nil
	}
	var start, end int64
	if _, err := fmt.Sscanf(header, "%d-%d", &start, &end); err != nil || end < start {
		return refuse(http.StatusRequestedRangeNotSatisfiable, codeBlobUploadInvalid, "Content-Range %q is not start-end", header)
	}
	if start != n.size {
		n.headers(w)
		return refuse(http.StatusRequestedRangeNotSatisfiable, codeBlobUploadInvalid, "chunk begins at %d, but %d bytes have come", start, n.size)
	}
	return nil
}

// finishUpload takes the last chunk and stores the blob.
func (r *Registry) finishUpload(w http.ResponseWriter, req *http.Request, to route) error {
	n, err := r.uploads.find(to)
	if err != nil {
		return err
	}
	want, err := parseDigest(req.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	return r.conclude(w, req, n, want)
}

// cancelUpload drops what has come.
func (r *Registry) cancelUpload(w http.ResponseWriter, _ *http.Request, to route) error {
	n, err := r.uploads.find(to)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r.uploads.drop(n)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
