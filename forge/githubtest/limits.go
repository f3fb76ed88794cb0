package githubtest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// hourly is how many requests a job's token has in an hour.
const hourly = 1000

// quota is what the token has in an hour.
func (s *Server) quota() int {
	if s.Quota > 0 {
		return s.Quota
	}
	return hourly
}

// charge counts a request, and reports whether the token had one left. Asking
// for the limit itself is free.
func (s *Server) charge(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := r.URL.Path == "/rate_limit"
	enough := free || s.spent < s.quota()
	if enough && !free {
		s.spent++
	}
	s.showLimit(w.Header())
	return enough
}

// refund takes back what a request was counted that GitHub answers with 304.
func (s *Server) refund(header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spent--
	s.unchanged++
	s.showLimit(header)
}

func (s *Server) showLimit(header http.Header) {
	header.Set("X-RateLimit-Limit", strconv.Itoa(s.quota()))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(s.quota()-s.spent))
	header.Set("X-RateLimit-Used", strconv.Itoa(s.spent))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(s.reset.Unix(), 10))
	header.Set("X-RateLimit-Resource", "core")
}

func (s *Server) rateLimit(w http.ResponseWriter, _ *http.Request) {
	core := map[string]any{"limit": s.quota(), "remaining": s.quota() - s.spent, "used": s.spent, "reset": s.reset.Unix()}
	answer(w, http.StatusOK, map[string]any{"resources": map[string]any{"core": core}, "rate": core})
}

// Reset is when the token's requests are full again.
func (s *Server) Reset() time.Time { return s.reset }

// Unchanged counts the answers of 304.
func (s *Server) Unchanged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unchanged
}

// unchangedSince answers with 304 what is as the client knows it, and gives it
// its ETag otherwise.
func (s *Server) unchangedSince(w http.ResponseWriter, r *http.Request, body []byte) bool {
	etag := fmt.Sprintf("W/%q", fmt.Sprintf("%x", sha256.Sum256(body)))
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") != etag {
		return false
	}
	s.refund(w.Header())
	w.Header().Del("Content-Type")
	w.WriteHeader(http.StatusNotModified)
	return true
}

// may reports whether the token has the permission that an operation needs. A
// job's own can be given all but administration.
func (s *Server) may(r *http.Request) bool {
	_, pattern := s.mux.Handler(r)
	permission, reading := s.needs[pattern], r.Method == http.MethodGet
	switch {
	case permission == "":
		return true
	case s.ReadOnly && !reading:
		return false
	case s.Permissions == nil:
		return permission != administration
	}
	level := s.Permissions[permission]
	return level == "write" || level == "read" && reading
}

// administration is what removing an environment needs.
const administration = "administration"
