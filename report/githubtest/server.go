// Package githubtest is a GitHub for tests: a real HTTP server on loopback that
// keeps deployments, their statuses, pull requests and comments of one
// repository, counts requests, and fails when it is told to.
package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Repository is the one that the server has, and Token what it takes.
const (
	Repository = "acme/hello"
	Token      = "ghs_loopback"
)

// Server is the GitHub. Its fields may be set before the first request; its
// methods may be used from several goroutines.
type Server struct {
	// URL is the address of the API.
	URL string
	// Login is the user of the token. Empty means a job's own token, which may
	// not ask who it is and comments as github-actions[bot].
	Login string

	mu          sync.Mutex
	nextID      int64
	deployments []*Deployment
	pulls       map[string][]Pull
	comments    []*Comment
	requests    []string
	faults      []*Fault
}

// Deployment as the server keeps it.
type Deployment struct {
	ID          int64           `json:"id"`
	SHA         string          `json:"sha"`
	Ref         string          `json:"ref"`
	Task        string          `json:"task"`
	Environment string          `json:"environment"`
	Description string          `json:"description"`
	Payload     json.RawMessage `json:"payload"`
	AutoMerge   *bool           `json:"auto_merge,omitempty"`
	Contexts    *[]string       `json:"required_contexts,omitempty"`
	Transient   bool            `json:"transient_environment"`
	Production  bool            `json:"production_environment"`
	// Statuses are oldest first.
	Statuses []Status `json:"-"`
}

// State is the last status; empty before the first.
func (d Deployment) State() string {
	if len(d.Statuses) == 0 {
		return ""
	}
	return d.Statuses[len(d.Statuses)-1].State
}

// Status of a deployment.
type Status struct {
	ID             int64  `json:"id"`
	State          string `json:"state"`
	Description    string `json:"description"`
	LogURL         string `json:"log_url"`
	EnvironmentURL string `json:"environment_url"`
	AutoInactive   *bool  `json:"auto_inactive,omitempty"`
}

// Pull is a pull request that has a commit.
type Pull struct {
	Number   int
	State    string
	HeadSHA  string
	MergeSHA string
}

// Comment on an issue or a pull request.
type Comment struct {
	ID    int64  `json:"id"`
	Issue int    `json:"-"`
	Body  string `json:"body"`
	User  User   `json:"user"`
	// Edits counts how often it was edited.
	Edits int `json:"-"`
}

// User is an account: Type is User or Bot.
type User struct {
	Login string `json:"login"`
	Type  string `json:"type"`
}

// Fault makes requests fail.
type Fault struct {
	// Match is a regular expression over "METHOD /path".
	Match string
	// Times is how many requests fail; negative means all.
	Times int
	// Status of the answer. Message defaults to the status text.
	Status  int
	Message string
	// RetryAfter is sent in seconds where it is positive; with 403 it makes
	// the answer a secondary rate limit, as Secondary does without it.
	RetryAfter int
	Secondary  bool
	// Reset makes the answer a primary rate limit that ends then.
	Reset time.Time
	// Done: the request is carried out all the same, and only the answer lost.
	Done bool
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{nextID: 100, pulls: map[string][]Pull{}}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Fail adds a fault.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// AddPull makes a commit belong to a pull request.
func (s *Server) AddPull(commit string, p Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[commit] = append(s.pulls[commit], p)
}

// AddComment is somebody's comment.
func (s *Server) AddComment(issue int, by User, body string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Comment{ID: s.id(), Issue: issue, Body: body, User: by}
	s.comments = append(s.comments, c)
	return c.ID
}

// DeleteComment removes one.
func (s *Server) DeleteComment(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.comments {
		if c.ID == id {
			s.comments = append(s.comments[:i:i], s.comments[i+1:]...)
			return
		}
	}
}

// AddDeployment is an older deployment in a state.
func (s *Server) AddDeployment(environment, state string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &Deployment{ID: s.id(), SHA: "0000", Environment: environment, Payload: json.RawMessage(`{}`)}
	d.Statuses = append(d.Statuses, Status{ID: s.id(), State: state})
	s.deployments = append(s.deployments, d)
	return d.ID
}

// Deployments are copies of all, oldest first.
func (s *Server) Deployments() []Deployment {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Deployment, 0, len(s.deployments))
	for _, d := range s.deployments {
		c := *d
		c.Statuses = append([]Status(nil), d.Statuses...)
		all = append(all, c)
	}
	return all
}

// Comments are copies of all, oldest first.
func (s *Server) Comments() []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Comment, 0, len(s.comments))
	for _, c := range s.comments {
		all = append(all, *c)
	}
	return all
}

// Requests are "METHOD /path" of all that came, in their order.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// id is the next one. Callers hold mu.
func (s *Server) id() int64 {
	s.nextID++
	return s.nextID
}

func (s *Server) handler() http.Handler {
	repo := "/repos/" + Repository
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user", s.user)
	mux.HandleFunc("GET "+repo+"/commits/{sha}/pulls", s.listPulls)
	mux.HandleFunc("GET "+repo+"/issues/{number}/comments", s.listComments)
	mux.HandleFunc("POST "+repo+"/issues/{number}/comments", s.createComment)
	mux.HandleFunc("PATCH "+repo+"/issues/comments/{id}", s.editComment)
	mux.HandleFunc("GET "+repo+"/deployments", s.listDeployments)
	mux.HandleFunc("POST "+repo+"/deployments", s.createDeployment)
	mux.HandleFunc("GET "+repo+"/deployments/{id}/statuses", s.listStatuses)
	mux.HandleFunc("POST "+repo+"/deployments/{id}/statuses", s.createStatus)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.serve(mux, w, r)
	})
}

// serve counts, fails when it is to, and answers. It holds mu throughout, so
// that handlers see one state.
func (s *Server) serve(mux http.Handler, w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.Path
	s.requests = append(s.requests, request)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Header.Get("Authorization") != "Bearer "+Token {
		refuse(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	f := s.fault(request)
	if f == nil {
		mux.ServeHTTP(w, r)
		return
	}
	if f.Done {
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
	f.answer(w)
}

// fault is what befalls the request, or nil.
func (s *Server) fault(request string) *Fault {
	for _, f := range s.faults {
		if f.Times == 0 || !regexp.MustCompile(f.Match).MatchString(request) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}

func (f *Fault) answer(w http.ResponseWriter) {
	body := map[string]string{"message": f.Message, "documentation_url": "https://docs.github.com/rest"}
	if f.Message == "" {
		body["message"] = http.StatusText(f.Status)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.RetryAfter > 0 || f.Secondary {
		body["message"] = "You have exceeded a secondary rate limit."
		body["documentation_url"] = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	}
	if !f.Reset.IsZero() {
		w.Header().Set("X-RateLimit-Limit", "1000")
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(f.Reset.Unix(), 10))
		body["message"] = "API rate limit exceeded for installation."
	}
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, message string) {
	(&Fault{Status: status, Message: message}).answer(w)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) user(w http.ResponseWriter, _ *http.Request) {
	if s.Login == "" {
		refuse(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	answer(w, http.StatusOK, s.me())
}

// me is the user of the token.
func (s *Server) me() User {
	if s.Login == "" {
		return User{Login: "github-actions[bot]", Type: "Bot"}
	}
	return User{Login: s.Login, Type: "User"}
}

func (s *Server) listPulls(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{}
	for _, p := range s.pulls[r.PathValue("sha")] {
		all = append(all, map[string]any{
			"number": p.Number, "state": p.State, "merge_commit_sha": p.MergeSHA,
			"head": map[string]string{"sha": p.HeadSHA},
		})
	}
	answer(w, http.StatusOK, all)
}

// maxBody is GitHub's limit for comments, in characters.
const maxBody = 65536

func (s *Server) createComment(w http.ResponseWriter, r *http.Request) {
	c := &Comment{User: s.me(), Issue: number(r, "number")}
	if !decode(w, r, c) {
		return
	}
	c.ID = s.id()
	s.comments = append(s.comments, c)
	answer(w, http.StatusCreated, c)
}

func (s *Server) editComment(w http.ResponseWriter, r *http.Request) {
	for _, c := range s.comments {
		if c.ID != int64(number(r, "id")) {
			continue
		}
		if decode(w, r, c) {
			c.Edits++
			answer(w, http.StatusOK, c)
		}
		return
	}
	refuse(w, http.StatusNotFound, "Not Found")
}

func decode(w http.ResponseWriter, r *http.Request, c *Comment) bool {
	var sent struct{ Body string }
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	if sent.Body == "" || len([]rune(sent.Body)) > maxBody {
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed")
		return false
	}
	c.Body = sent.Body
	return true
}

func (s *Server) listComments(w http.ResponseWriter, r *http.Request) {
	var all []*Comment
	for _, c := range s.comments {
		if c.Issue == number(r, "number") {
			all = append(all, c)
		}
	}
	from, to := s.page(w, r, len(all))
	answer(w, http.StatusOK, append([]*Comment{}, all[from:to]...))
}

// page cuts out of total items what the query asks for, and links to the next.
func (s *Server) page(w http.ResponseWriter, r *http.Request, total int) (from, to int) {
	query := r.URL.Query()
	per, page := 30, 1
	if n, err := strconv.Atoi(query.Get("per_page")); err == nil {
		per = min(n, 100)
	}
	if n, err := strconv.Atoi(query.Get("page")); err == nil {
		page = max(1, n)
	}
	from, to = min(total, (page-1)*per), min(total, page*per)
	if to < total {
		query.Set("page", strconv.Itoa(page+1))
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.URL, r.URL.Path, query.Encode()))
	}
	return from, to
}

func (s *Server) createDeployment(w http.ResponseWriter, r *http.Request) {
	d := &Deployment{Production: true}
	if err := json.NewDecoder(r.Body).Decode(d); err != nil || d.Ref == "" {
		refuse(w, http.StatusUnprocessableEntity, "No ref found for: "+d.Ref)
		return
	}
	d.ID, d.SHA = s.id(), d.Ref
	s.deployments = append(s.deployments, d)
	answer(w, http.StatusCreated, d)
}

// listDeployments answers newest first, as GitHub does.
func (s *Server) listDeployments(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var all []*Deployment
	for i := len(s.deployments) - 1; i >= 0; i-- {
		d := s.deployments[i]
		if matches(query.Get("environment"), d.Environment) && matches(query.Get("sha"), d.SHA) {
			all = append(all, d)
		}
	}
	from, to := s.page(w, r, len(all))
	answer(w, http.StatusOK, append([]*Deployment{}, all[from:to]...))
}

func matches(want, got string) bool { return want == "" || strings.EqualFold(want, got) }

func (s *Server) deployment(r *http.Request) *Deployment {
	for _, d := range s.deployments {
		if d.ID == int64(number(r, "id")) {
			return d
		}
	}
	return nil
}

func (s *Server) createStatus(w http.ResponseWriter, r *http.Request) {
	d := s.deployment(r)
	if d == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	var status Status
	if err := json.NewDecoder(r.Body).Decode(&status); err != nil || len([]rune(status.Description)) > 140 {
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed")
		return
	}
	status.ID = s.id()
	d.Statuses = append(d.Statuses, status)
	answer(w, http.StatusCreated, status)
}

// listStatuses answers newest first, as GitHub does.
func (s *Server) listStatuses(w http.ResponseWriter, r *http.Request) {
	d := s.deployment(r)
	if d == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	all := []Status{}
	for i := len(d.Statuses) - 1; i >= 0; i-- {
		all = append(all, d.Statuses[i])
	}
	from, to := s.page(w, r, len(all))
	answer(w, http.StatusOK, all[from:to])
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.PathValue(name))
	return n
}
