package githubtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"time"
)

// Fault makes requests fail.
type Fault struct {
	// Match is a regular expression over "METHOD /path".
	Match string
	// Skip is how many requests are let through first.
	Skip int
	// Times is how many requests fail after that; negative means all.
	Times int
	// Status of the answer. Message defaults to the status text.
	Status  int
	Message string
	// RetryAfter is sent in seconds where it is positive; it makes the answer a
	// secondary rate limit, as Secondary does without it. GitHub answers either
	// with 403 or 429.
	RetryAfter int
	Secondary  bool
	// Reset makes the answer a primary rate limit that ends then, with 403 or
	// 429.
	Reset time.Time
	// Location redirects there.
	Location string
	// Hang lets the client wait until it gives up or the test ends. Drop breaks
	// the connection. Neither has a Status.
	Hang, Drop bool
	// Done: the request is carried out all the same, and only the answer lost.
	Done bool
}

// Fail adds a fault. Of several that match the oldest acts.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Recover ends all faults.
func (s *Server) Recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault is what befalls the request, or nil. Callers hold mu.
func (s *Server) fault(request string) *Fault {
	for _, f := range s.faults {
		if f.Times == 0 || !regexp.MustCompile(f.Match).MatchString(request) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			return nil
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}

// befall lets a request fail.
func (s *Server) befall(f *Fault, w http.ResponseWriter, r *http.Request) {
	if f.Done {
		s.obey(httptest.NewRecorder(), r)
	}
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
	case f.Drop:
		drop(w)
	default:
		f.answer(w)
	}
}

// drop breaks the connection off without an answer.
func drop(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

// Where GitHub's own answers to limits point to.
const (
	aboutLimits    = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"
	aboutSecondary = "https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
)

func (f *Fault) answer(w http.ResponseWriter) {
	body := map[string]any{
		"message": f.Message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(f.Status),
	}
	if f.Message == "" {
		body["message"] = http.StatusText(f.Status)
	}
	if f.Location != "" {
		w.Header().Set("Location", f.Location)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.RetryAfter > 0 || f.Secondary {
		body["message"] = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
		body["documentation_url"] = aboutSecondary
	}
	if !f.Reset.IsZero() {
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Used", strconv.Itoa(hourly))
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(f.Reset.Unix(), 10))
		body["message"], body["documentation_url"] = "API rate limit exceeded for installation.", aboutLimits
	}
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(body)
}
