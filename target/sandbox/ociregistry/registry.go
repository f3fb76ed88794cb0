package ociregistry

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Registry serves the distribution API from a folder. It may be used by many
// requests at once, and by one process at a time.
type Registry struct {
	log     *slog.Logger
	store   *store
	uploads uploads
	// mu makes checks and the changes that follow from them one step: a
	// manifest is not stored while a blob it needs is being deleted.
	mu sync.RWMutex
}

var _ http.Handler = (*Registry)(nil)

// New opens the registry in a folder, which is made when it is missing. What a
// killed process left half written is removed; damaged manifests and tags are
// logged and count as absent. A nil log discards.
func New(dir string, log *slog.Logger) (*Registry, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	s, err := openStore(abs, log)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	r := &Registry{log: log, store: s, uploads: uploads{store: s, open: map[string]*upload{}, now: time.Now}}
	if err := r.survey(); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	return r, nil
}

// survey reads every manifest and tag once, so that damage is in the log when
// the registry starts and not only when somebody pulls.
func (r *Registry) survey() error {
	repos, err := r.store.list()
	if err != nil {
		return err
	}
	for _, name := range repos {
		if err := r.surveyRepository(name); err != nil {
			r.log.Warn("repository cannot be read", "repository", name, "error", err)
		}
	}
	return nil
}

func (r *Registry) surveyRepository(name string) error {
	hs, err := r.store.manifests(name)
	if err != nil {
		return err
	}
	for _, h := range hs {
		if _, err := r.store.getManifest(name, h); err != nil && !errors.Is(err, errAbsent) {
			r.log.Warn("manifest cannot be read", "repository", name, "digest", h.String(), "error", err)
		}
	}
	tags, err := r.store.tags(name)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if h, err := r.store.getTag(name, tag); err == nil && !slices.Contains(hs, h) {
			r.log.Warn("tag names a manifest that is not there", "repository", name, "tag", tag, "digest", h.String())
		}
	}
	return nil
}

// ServeHTTP answers one request of the distribution API. Errors have the form
// of its specification; a full disk is 507 with code UNKNOWN and a message
// that says so.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	began := time.Now()
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	err := r.serve(w, req)
	log := r.log.With("method", req.Method, "path", req.URL.Path, "took", time.Since(began))
	if err == nil {
		log.Debug("registry request")
		return
	}
	refused := refusalOf(err)
	level := slog.LevelDebug
	if refused.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	log.Log(req.Context(), level, "registry request refused", "status", refused.status, "error", err)
	refused.write(w)
}

// serve finds who answers.
func (r *Registry) serve(w http.ResponseWriter, req *http.Request) error {
	to, err := parseRoute(req.URL.Path)
	if err != nil {
		return err
	}
	handlers := map[string]func(http.ResponseWriter, *http.Request, route) error{
		http.MethodGet + " " + kindVersion:     version,
		http.MethodGet + " " + kindCatalog:     r.getCatalog,
		http.MethodGet + " " + kindTags:        r.getTags,
		http.MethodGet + " " + kindReferrers:   r.getReferrers,
		http.MethodGet + " " + kindManifest:    r.getManifest,
		http.MethodPut + " " + kindManifest:    r.putManifest,
		http.MethodDelete + " " + kindManifest: r.deleteManifest,
		http.MethodGet + " " + kindBlob:        r.getBlob,
		http.MethodDelete + " " + kindBlob:     r.deleteBlob,
		http.MethodPost + " " + kindUploads:    r.startUpload,
		http.MethodGet + " " + kindUpload:      r.uploadStatus,
		http.MethodPatch + " " + kindUpload:    r.continueUpload,
		http.MethodPut + " " + kindUpload:      r.finishUpload,
		http.MethodDelete + " " + kindUpload:   r.cancelUpload,
	}
	method := req.Method
	if method == http.MethodHead { // net/http leaves the body out
		method = http.MethodGet
	}
	handle, ok := handlers[method+" "+to.kind]
	if !ok {
		return refuse(http.StatusMethodNotAllowed, codeUnsupported, "%s is not supported here", req.Method)
	}
	return handle(w, req, to)
}

// version tells that this is a registry.
func version(w http.ResponseWriter, _ *http.Request, _ route) error {
	return writeJSON(w, "application/json", struct{}{})
}

// getCatalog lists the repositories.
func (r *Registry) getCatalog(w http.ResponseWriter, req *http.Request, _ route) error {
	repos, err := r.store.list()
	if err != nil {
		return err
	}
	repos, err = page(w, req, repos)
	if err != nil {
		return err
	}
	return writeJSON(w, "application/json", map[string]any{"repositories": repos})
}

// getTags lists a repository's tags.
func (r *Registry) getTags(w http.ResponseWriter, req *http.Request, to route) error {
	if hs, err := r.store.manifests(to.name); len(hs) == 0 {
		if err != nil && !errors.Is(err, errAbsent) {
			return err
		}
		return refuse(http.StatusNotFound, codeNameUnknown, "repository %s is not known", to.name)
	}
	tags, err := r.store.tags(to.name)
	if err != nil {
		return err
	}
	tags, err = page(w, req, tags)
	if err != nil {
		return err
	}
	return writeJSON(w, "application/json", map[string]any{"name": to.name, "tags": tags})
}

// page cuts a sorted list by the parameters n and last, and links to the rest.
// The result is never nil, so that it prints as a list.
func page(w http.ResponseWriter, req *http.Request, all []string) ([]string, error) {
	query := req.URL.Query()
	last := query.Get("last")
	at, found := slices.BinarySearch(all, last)
	if found {
		at++
	}
	rest := append([]string{}, all[at:]...)
	if !query.Has("n") {
		return rest, nil
	}
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || n < 0 {
		return nil, refuse(http.StatusBadRequest, codeUnsupported, "n=%q is not a number of entries", query.Get("n"))
	}
	if n >= len(rest) {
		return rest, nil
	}
	if n > 0 {
		query.Set("last", rest[n-1])
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", req.URL.EscapedPath(), query.Encode()))
	}
	return rest[:n], nil
}

// getReferrers lists the manifests whose subject is the target.
func (r *Registry) getReferrers(w http.ResponseWriter, req *http.Request, to route) error {
	target, err := parseDigest(to.target)
	if err != nil {
		return err
	}
	only := req.URL.Query().Get("artifactType")
	found, err := r.referrers(to.name, target, only)
	if err != nil {
		return err
	}
	if only != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return writeJSON(w, string(ociIndex), v1.IndexManifest{SchemaVersion: 2, MediaType: ociIndex, Manifests: found})
}

// writeJSON sends a value.
func writeJSON(w http.ResponseWriter, contentType string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may be gone
	return nil
}
