package ociregistry

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// getBlob answers with a blob or a range of it. Blobs are shared: one that any
// repository has pushed is found through all.
func (r *Registry) getBlob(w http.ResponseWriter, req *http.Request, to route) error {
	h, err := parseDigest(to.target)
	if err != nil {
		return err
	}
	f, err := r.store.openBlob(h)
	if errors.Is(err, errAbsent) {
		return unknownBlob(h)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", h.String())
	w.Header().Set("ETag", strconv.Quote(h.String()))
	http.ServeContent(w, req, "", time.Time{}, f)
	return nil
}

// deleteBlob removes a blob that no manifest of any repository needs.
func (r *Registry) deleteBlob(w http.ResponseWriter, _ *http.Request, to route) error {
	h, err := parseDigest(to.target)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	user, err := r.userOf(h)
	if err != nil {
		return err
	}
	if user != "" {
		return refuse(http.StatusForbidden, codeDenied, "blob %s is needed by %s", h, user)
	}
	err = r.store.remove(r.store.blobPath(h))
	if errors.Is(err, errAbsent) {
		return unknownBlob(h)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// userOf names a manifest that needs the blob, empty when there is none.
func (r *Registry) userOf(h v1.Hash) (string, error) {
	repos, err := r.store.list()
	if err != nil {
		return "", err
	}
	user := ""
	for _, name := range repos {
		err := r.each(name, func(m manifest, c contents) {
			for _, d := range c.blobs() {
				if d.Digest == h {
					user = name + "@" + m.digest.String()
				}
			}
		})
		if err != nil || user != "" {
			return user, err
		}
	}
	return "", nil
}

func unknownBlob(h v1.Hash) error {
	return refuse(http.StatusNotFound, codeBlobUnknown, "blob %s is not in the registry", h)
}
