package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Image of a package in GitHub's registry.
type Image struct {
	// Owner is who has the package, an organization unless User says otherwise.
	Owner   string
	User    bool
	Package string
	ID      int64
	Digest  string
	Tags    []string
}

// AddImage adds an image.
func (s *Server) AddImage(i Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images = append(s.images, i)
}

// Images are those that are there.
func (s *Server) Images() []Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.images)
}

// ofUser and ofOrganization are the two kinds of owners.
func (s *Server) ofUser(h func(http.ResponseWriter, *http.Request, bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { h(w, r, true) }
}

func (s *Server) ofOrganization(h func(http.ResponseWriter, *http.Request, bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { h(w, r, false) }
}

func (s *Server) listImages(w http.ResponseWriter, r *http.Request, user bool) {
	var all []Image
	for _, i := range s.images {
		if i.Owner == r.PathValue("owner") && i.User == user && i.Package == r.PathValue("name") {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		notFound(w)
		return
	}
	from, to := s.page(w, r, len(all))
	shown := []any{}
	for _, i := range all[from:to] {
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC3339)
		shown = append(shown, map[string]any{
			"id": i.ID, "name": i.Digest, "created_at": at, "updated_at": at,
			"url":              fmt.Sprintf("https://api.github.com/orgs/%s/packages/container/%s/versions/%d", i.Owner, i.Package, i.ID),
			"package_html_url": fmt.Sprintf("https://github.com/orgs/%s/packages/container/package/%s", i.Owner, i.Package),
			"metadata":         map[string]any{"package_type": "container", "container": map[string]any{"tags": i.Tags}},
		})
	}
	answer(w, http.StatusOK, shown)
}

func (s *Server) deleteImage(w http.ResponseWriter, r *http.Request, user bool) {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	at := slices.IndexFunc(s.images, func(i Image) bool {
		return i.ID == id && i.Owner == r.PathValue("owner") && i.User == user && i.Package == r.PathValue("name")
	})
	if at < 0 {
		notFound(w)
		return
	}
	s.images = slices.Delete(s.images, at, at+1)
	w.WriteHeader(http.StatusNoContent)
}
