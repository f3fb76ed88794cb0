// Package githubtest is a GitHub for tests: a real HTTP server on loopback that
// keeps deployments, their statuses, those of commits, environments with what protects them, pull
// requests, branches and comments of one repository. It has GitHub's limits,
// permissions and ETags, and fails when it is told to.
//
// Every request that it gets and every answer that it gives is held against
// GitHub's own description of its API (openapi.json): a request that GitHub
// would not take fails the test.
package githubtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Repository is the one that the server has. It takes Token as that of a job,
// and PersonalToken as that of a person.
const (
	Repository    = "acme/hello"
	Token         = "ghs_loopback" //nolint:gosec // it opens nothing but this server
	PersonalToken = "ghp_loopback" //nolint:gosec // as Token
)

// Server is the GitHub. Its fields may be set before the first request; its
// methods may be used from several goroutines.
type Server struct {
	// URL is the address of the API.
	URL string
	// Login is the user of PersonalToken, which is taken where there is one. A
	// job's own token may not ask who it is, and comments as
	// github-actions[bot].
	Login string
	// ReadOnly is the token of a pull request from a fork: it may only read.
	ReadOnly bool
	// Permissions are those of the token, as a workflow names them, such as
	// {"deployments": "write"}. Nil is all that a job can be given: everything
	// but administration.
	Permissions map[string]string
	// Quota is how many requests the token has in an hour; 0 means 1000.
	Quota int
	// Lenient lets a request that GitHub would not take pass without failing
	// the test; it is answered with 422 in any case.
	Lenient bool

	t        testing.TB
	contract *contract
	mux      *http.ServeMux
	// needs is the permission that each pattern of mux needs.
	needs   map[string]string
	reset   time.Time
	closing chan struct{}

	mu          sync.Mutex
	nextID      int64
	deployments []*Deployment
	pulls       map[string][]Pull
	comments    []*Comment
	statuses    []CommitStatus
	requests    []string
	faults      []*Fault

	environments []*Environment
	reviews      []review
	branches     []Branch
	images       []Image
	jobs         []Job
	// spent counts the requests of this hour, unchanged the answers of 304.
	spent, unchanged int
}

// Deployment as the server keeps it.
type Deployment struct {
	ID          int64
	SHA         string
	Ref         string
	Task        string
	Environment string
	Description string
	Payload     json.RawMessage
	AutoMerge   bool
	// Contexts are the checks that must have passed; nil means all.
	Contexts   *[]string
	Transient  bool
	Production bool
	// Statuses are oldest first.
	Statuses []Status
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
	// AutoInactive is nil where it was not said, which means true.
	AutoInactive *bool `json:"auto_inactive,omitempty"`
}

// CommitStatus is one of a commit.
type CommitStatus struct {
	SHA         string `json:"-"`
	State       string `json:"state"`
	Context     string `json:"context"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url"`
}

// Pull is a pull request that has a commit.
type Pull struct {
	Number int
	// State is open or closed.
	State    string
	HeadSHA  string
	MergeSHA string
	Merged   bool
	// Branch is the one that it comes from, of the repository Fork; empty means
	// this one.
	Branch string
	Fork   string
}

// Comment on an issue or a pull request.
type Comment struct {
	ID    int64
	Issue int
	Body  string
	User  User
	// Edits counts how often it was edited.
	Edits int
}

// User is an account: Type is User or Bot.
type User struct {
	Login string `json:"login"`
	Type  string `json:"type"`
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		t: t, contract: c, closing: make(chan struct{}), nextID: 100, pulls: map[string][]Pull{},
		reset: time.Now().Add(time.Hour).Truncate(time.Second),
	}
	s.mux, s.needs = s.routes()
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		close(s.closing)
		server.Close()
	})
	s.URL = server.URL
	return s
}

// AddPull makes a commit belong to a pull request.
func (s *Server) AddPull(commit string, p Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[commit] = append(s.pulls[commit], p)
}

// SetPull replaces the pull request of the number, or adds it to its head's.
func (s *Server) SetPull(p Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.pulls {
		for i := range all {
			if all[i].Number == p.Number {
				all[i] = p
				return
			}
		}
	}
	s.pulls[p.HeadSHA] = append(s.pulls[p.HeadSHA], p)
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
	s.remove(id)
}

// remove reports whether the comment was there. Callers hold mu.
func (s *Server) remove(id int64) bool {
	for i, c := range s.comments {
		if c.ID == id {
			s.comments = append(s.comments[:i:i], s.comments[i+1:]...)
			return true
		}
	}
	return false
}

// AddDeployment adds an older deployment in a state.
func (s *Server) AddDeployment(d Deployment, state string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.ID = s.id()
	d.Statuses = append(d.Statuses, Status{ID: s.id(), State: state})
	s.deployments = append(s.deployments, &d)
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

// CommitStatuses are those of all commits, oldest first.
func (s *Server) CommitStatuses() []CommitStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]CommitStatus(nil), s.statuses...)
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

// ServeHTTP answers as GitHub does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	enough := s.charge(w, r)
	f := s.meet(r.Method + " " + r.URL.Path)
	switch {
	case !s.takes(r.Header.Get("Authorization")):
		refuse(w, http.StatusUnauthorized, "Bad credentials")
	case f != nil:
		s.befall(f, w, r)
	case !enough:
		(&Fault{Status: http.StatusForbidden, Reset: s.reset}).answer(w)
	case !s.may(r):
		refuse(w, http.StatusForbidden, "Resource not accessible by integration")
	default:
		s.obey(w, r)
	}
}

// takes reports whether a token is one of the server's.
func (s *Server) takes(authorization string) bool {
	return authorization == "Bearer "+Token || s.Login != "" && authorization == "Bearer "+PersonalToken
}

// meet remembers a request, and says what befalls it.
func (s *Server) meet(request string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	return s.fault(request)
}

// obey carries a request out, if GitHub would take it.
func (s *Server) obey(w http.ResponseWriter, r *http.Request) {
	o := s.contract.find(r.Method, r.URL.EscapedPath())
	if o == nil {
		s.wrong("%s %s: GitHub's description has no such operation, or openapi.json lacks it", r.Method, r.URL.Path)
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	if err := o.takes(r.URL.Query(), body); err != nil {
		s.wrong("%s %s: %v", r.Method, r.URL.Path, err)
		refuse(w, http.StatusUnprocessableEntity, "Invalid request.\n\n"+err.Error())
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.reply(o, w, r)
}

// wrong fails the test for a request that GitHub would not take.
func (s *Server) wrong(format string, args ...any) {
	if !s.Lenient {
		s.t.Errorf(format, args...)
	}
}

// reply lets a handler answer, and sends its answer with all that GitHub has
// in such an answer.
func (s *Server) reply(o *operation, w http.ResponseWriter, r *http.Request) {
	handled := httptest.NewRecorder()
	s.mu.Lock()
	s.mux.ServeHTTP(handled, r)
	s.mu.Unlock()
	body := handled.Body.Bytes()
	if shape, ok := o.shapes[handled.Code]; ok && len(body) > 0 {
		body = s.whole(shape, body)
	}
	if err := o.answersWith(handled.Code, body); err != nil {
		s.t.Errorf("githubtest answers %s %s as GitHub does not: %v", r.Method, r.URL.Path, err)
	}
	for name, value := range handled.Header() {
		w.Header()[name] = value
	}
	if r.Method == http.MethodGet && handled.Code == http.StatusOK && s.unchangedSince(w, r, body) {
		return
	}
	w.WriteHeader(handled.Code)
	_, _ = w.Write(body)
}

// whole completes an answer by its shape.
func (s *Server) whole(shape any, body []byte) []byte {
	value, err := values(json.RawMessage(body))
	if err != nil {
		s.t.Errorf("githubtest: %v", err)
		return body
	}
	out, err := json.Marshal(s.contract.complete(shape, value))
	if err != nil {
		s.t.Errorf("githubtest: %v", err)
		return body
	}
	return out
}

func refuse(w http.ResponseWriter, status int, message string) {
	(&Fault{Status: status, Message: message}).answer(w)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// page cuts out of total items what the query asks for, and links to the next.
func (s *Server) page(w http.ResponseWriter, r *http.Request, total int) (from, to int) {
	query := r.URL.Query()
	per, page := 30, 1
	if n, err := strconv.Atoi(query.Get("per_page")); err == nil && n > 0 {
		per = min(n, 100)
	}
	if n, err := strconv.Atoi(query.Get("page")); err == nil {
		page = max(1, n)
	}
	from, to = min(total, (page-1)*per), min(total, page*per)
	var links []string
	link := func(rel string, page int) {
		next := url.Values{}
		for name, value := range query {
			next[name] = value
		}
		next.Set("page", strconv.Itoa(page))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel=%q`, s.URL, r.URL.Path, next.Encode(), rel))
	}
	if page > 1 {
		link("prev", page-1)
	}
	if to < total {
		link("next", page+1)
		link("last", (total+per-1)/per)
	}
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	return from, to
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.PathValue(name))
	return n
}
