package githubtest

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"
)

// routes are the operations, with the permission that each needs. Handlers are
// called with mu held; what GitHub's description demands besides, reply adds.
func (s *Server) routes() (*http.ServeMux, map[string]string) {
	mux, needs := http.NewServeMux(), map[string]string{}
	const repo = "/repos/" + Repository
	for _, o := range []struct {
		pattern, permission string
		handler             http.HandlerFunc
	}{
		{"GET /rate_limit", "", s.rateLimit},
		{"GET /user", "", s.user},
		{"GET " + repo + "/commits/{sha}/pulls", "pull-requests", s.listPulls},
		{"GET " + repo + "/pulls/{number}", "pull-requests", s.getPull},
		{"GET " + repo + "/issues/{number}/comments", "pull-requests", s.listComments},
		{"POST " + repo + "/issues/{number}/comments", "pull-requests", s.createComment},
		{"PATCH " + repo + "/issues/comments/{id}", "pull-requests", s.editComment},
		{"DELETE " + repo + "/issues/comments/{id}", "pull-requests", s.deleteComment},
		{"GET " + repo + "/deployments", "deployments", s.listDeployments},
		{"POST " + repo + "/deployments", "deployments", s.createDeployment},
		{"GET " + repo + "/deployments/{id}/statuses", "deployments", s.listStatuses},
		{"POST " + repo + "/deployments/{id}/statuses", "deployments", s.createStatus},
		{"POST " + repo + "/statuses/{sha}", "statuses", s.createCommitStatus},
		{"GET " + repo + "/environments", "actions", s.listEnvironments},
		{"GET " + repo + "/environments/{name}", "actions", s.getEnvironment},
		{"DELETE " + repo + "/environments/{name}", administration, s.deleteEnvironment},
		{"GET " + repo + "/environments/{name}/deployment-branch-policies", "actions", s.listBranchPolicies},
		{"GET " + repo + "/actions/runs/{run}/approvals", "actions", s.listReviews},
		{"GET " + repo + "/actions/runs/{run}/attempts/{attempt}/jobs", "actions", s.listJobs},
		{"GET " + repo + "/branches", "contents", s.listBranches},
		{"GET " + repo + "/git/matching-refs/{ref...}", "contents", s.matchingRefs},
		{"GET /orgs/{owner}/packages/container/{name}/versions", "packages", s.ofOrganization(s.listImages)},
		{"DELETE /orgs/{owner}/packages/container/{name}/versions/{id}", "packages", s.ofOrganization(s.deleteImage)},
		{"GET /users/{owner}/packages/container/{name}/versions", "packages", s.ofUser(s.listImages)},
		{"DELETE /users/{owner}/packages/container/{name}/versions/{id}", "packages", s.ofUser(s.deleteImage)},
		{"/", "", func(w http.ResponseWriter, _ *http.Request) { notFound(w) }},
	} {
		mux.HandleFunc(o.pattern, o.handler)
		needs[o.pattern] = o.permission
	}
	return mux, needs
}

func notFound(w http.ResponseWriter) { refuse(w, http.StatusNotFound, "Not Found") }

func (s *Server) user(w http.ResponseWriter, r *http.Request) {
	me := s.me(r)
	if me.Type == "Bot" {
		refuse(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	answer(w, http.StatusOK, me)
}

// me is the user of the request's token.
func (s *Server) me(r *http.Request) User {
	if r.Header.Get("Authorization") != "Bearer "+PersonalToken {
		return User{Login: "github-actions[bot]", Type: "Bot"}
	}
	return User{Login: s.Login, Type: "User"}
}

func (s *Server) listPulls(w http.ResponseWriter, r *http.Request) {
	all := s.pulls[r.PathValue("sha")]
	from, to := s.page(w, r, len(all))
	shown := []any{}
	for _, p := range all[from:to] {
		shown = append(shown, p.shown())
	}
	answer(w, http.StatusOK, shown)
}

func (p Pull) shown() map[string]any {
	fork := p.Fork
	if fork == "" {
		fork = Repository
	}
	pull := map[string]any{
		"number": p.Number, "state": p.State, "merge_commit_sha": p.MergeSHA, "merged": p.Merged,
		"head": map[string]any{"sha": p.HeadSHA, "ref": p.Branch, "repo": map[string]any{"full_name": fork}},
	}
	if p.Merged {
		pull["merged_at"] = someTime
	}
	return pull
}

func (s *Server) getPull(w http.ResponseWriter, r *http.Request) {
	for _, all := range s.pulls {
		for _, p := range all {
			if p.Number == number(r, "number") {
				answer(w, http.StatusOK, p.shown())
				return
			}
		}
	}
	notFound(w)
}

// knows reports whether there is a pull request of that number.
func (s *Server) knows(number int) bool {
	for _, all := range s.pulls {
		for _, p := range all {
			if p.Number == number {
				return true
			}
		}
	}
	return false
}

// maxBody is GitHub's limit for comments, in characters.
const maxBody = 65536

func (c *Comment) shown() map[string]any {
	return map[string]any{"id": c.ID, "body": c.Body, "user": map[string]any{"login": c.User.Login, "type": c.User.Type}}
}

func (s *Server) createComment(w http.ResponseWriter, r *http.Request) {
	c := &Comment{User: s.me(r), Issue: number(r, "number")}
	if !s.knows(c.Issue) {
		notFound(w)
		return
	}
	if !c.read(w, r) {
		return
	}
	c.ID = s.id()
	s.comments = append(s.comments, c)
	answer(w, http.StatusCreated, c.shown())
}

func (s *Server) editComment(w http.ResponseWriter, r *http.Request) {
	for _, c := range s.comments {
		if c.ID != int64(number(r, "id")) {
			continue
		}
		if c.read(w, r) {
			c.Edits++
			answer(w, http.StatusOK, c.shown())
		}
		return
	}
	notFound(w)
}

func (s *Server) deleteComment(w http.ResponseWriter, r *http.Request) {
	if !s.remove(int64(number(r, "id"))) {
		notFound(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *Comment) read(w http.ResponseWriter, r *http.Request) bool {
	var sent struct{ Body string }
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	switch n := utf8.RuneCountInString(sent.Body); {
	case n == 0:
		invalid(w, "IssueComment", "body", "missing_field", "Body cannot be blank")
		return false
	case n > maxBody:
		invalid(w, "IssueComment", "data", "unprocessable", "Body is too long (maximum is 65536 characters)")
		return false
	}
	c.Body = sent.Body
	return true
}

// invalid is GitHub's answer to a value that it does not take.
func invalid(w http.ResponseWriter, resource, field, code, message string) {
	answer(w, http.StatusUnprocessableEntity, map[string]any{
		"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest", "status": "422",
		"errors": []any{map[string]any{"resource": resource, "field": field, "code": code, "message": message}},
	})
}

func (s *Server) listComments(w http.ResponseWriter, r *http.Request) {
	issue := number(r, "number")
	if !s.knows(issue) {
		notFound(w)
		return
	}
	var all []*Comment
	for _, c := range s.comments {
		if c.Issue == issue {
			all = append(all, c)
		}
	}
	from, to := s.page(w, r, len(all))
	shown := []any{}
	for _, c := range all[from:to] {
		shown = append(shown, c.shown())
	}
	answer(w, http.StatusOK, shown)
}

func (d *Deployment) shown() map[string]any {
	payload := d.Payload
	if len(payload) == 0 {
		payload = json.RawMessage(`""`)
	}
	return map[string]any{
		"id": d.ID, "sha": d.SHA, "ref": d.Ref, "task": d.Task, "environment": d.Environment,
		"original_environment": d.Environment, "description": d.Description, "payload": payload,
		"transient_environment": d.Transient, "production_environment": d.Production,
	}
}

// createDeployment has GitHub's defaults.
func (s *Server) createDeployment(w http.ResponseWriter, r *http.Request) {
	sent := struct {
		Ref         string
		Task        string
		Environment string
		Description string
		Payload     json.RawMessage
		AutoMerge   *bool     `json:"auto_merge"`
		Contexts    *[]string `json:"required_contexts"`
		Transient   bool      `json:"transient_environment"`
		Production  *bool     `json:"production_environment"`
	}{Task: "deploy", Environment: "production"}
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil || sent.Ref == "" {
		refuse(w, http.StatusUnprocessableEntity, "No ref found for: "+sent.Ref)
		return
	}
	d := &Deployment{
		ID: s.id(), SHA: sent.Ref, Ref: sent.Ref, Task: sent.Task, Environment: sent.Environment,
		Description: sent.Description, Payload: sent.Payload, AutoMerge: sent.AutoMerge == nil || *sent.AutoMerge,
		Contexts: sent.Contexts, Transient: sent.Transient, Production: sent.Environment == "production",
	}
	if sent.Production != nil {
		d.Production = *sent.Production
	}
	s.deployments = append(s.deployments, d)
	if s.environment(d.Environment) == nil { // as GitHub does
		s.environments = append(s.environments, &Environment{Name: d.Environment})
	}
	answer(w, http.StatusCreated, d.shown())
}

// listDeployments answers newest first, as GitHub does.
func (s *Server) listDeployments(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var all []*Deployment
	for i := len(s.deployments) - 1; i >= 0; i-- {
		d := s.deployments[i]
		if matches(query.Get("environment"), d.Environment) && matches(query.Get("sha"), d.SHA) &&
			matches(query.Get("ref"), d.Ref) && matches(query.Get("task"), d.Task) {
			all = append(all, d)
		}
	}
	from, to := s.page(w, r, len(all))
	shown := []any{}
	for _, d := range all[from:to] {
		shown = append(shown, d.shown())
	}
	answer(w, http.StatusOK, shown)
}

// matches: names of environments know no upper and lower case, and "none",
// GitHub's default for each of these, means any.
func matches(want, got string) bool {
	return want == "" || want == "none" || strings.EqualFold(want, got)
}

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
		notFound(w)
		return
	}
	var status Status
	if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if utf8.RuneCountInString(status.Description) > 140 {
		invalid(w, "DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)")
		return
	}
	status.ID = s.id()
	d.Statuses = append(d.Statuses, status)
	if status.AutoInactive == nil || *status.AutoInactive {
		s.autoInactive(d, status.State)
	}
	answer(w, http.StatusCreated, status.shown())
}

// createCommitStatus has GitHub's default for the context.
func (s *Server) createCommitStatus(w http.ResponseWriter, r *http.Request) {
	status := CommitStatus{SHA: r.PathValue("sha"), Context: "default"}
	if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if utf8.RuneCountInString(status.Description) > 140 {
		invalid(w, "Status", "description", "custom", "description is too long (maximum is 140 characters)")
		return
	}
	s.statuses = append(s.statuses, status)
	answer(w, http.StatusCreated, map[string]any{
		"id": s.id(), "state": status.State, "context": status.Context, "description": status.Description, "target_url": status.TargetURL,
		"created_at": someTime, "updated_at": someTime,
	})
}

func (s Status) shown() map[string]any {
	return map[string]any{
		"id": s.ID, "state": s.State, "description": s.Description, "target_url": s.LogURL, "log_url": s.LogURL,
		"environment_url": s.EnvironmentURL,
	}
}

// autoInactive is what GitHub does by itself after a success: it leaves out
// production, what is transient, and all that was no success.
func (s *Server) autoInactive(newest *Deployment, state string) {
	if state != "success" {
		return
	}
	for _, d := range s.deployments {
		if d.ID < newest.ID && strings.EqualFold(d.Environment, newest.Environment) && !d.Transient && !d.Production && d.State() == "success" {
			d.Statuses = append(d.Statuses, Status{ID: s.id(), State: "inactive"})
		}
	}
}

// listStatuses answers newest first, as GitHub does.
func (s *Server) listStatuses(w http.ResponseWriter, r *http.Request) {
	d := s.deployment(r)
	if d == nil {
		notFound(w)
		return
	}
	from, to := s.page(w, r, len(d.Statuses))
	shown := []any{}
	for i := range d.Statuses[from:to] {
		shown = append(shown, d.Statuses[len(d.Statuses)-1-from-i].shown())
	}
	answer(w, http.StatusOK, shown)
}
