package githubtest

import (
	"net/http"
	"slices"
	"strings"
)

// Environment with the rules that protect it.
type Environment struct {
	Name string
	// Reviewers are logins of people; what begins with '@' is a team's slug.
	Reviewers []string
	// NotOneself: whoever began the run may not approve it.
	NotOneself bool
	// WaitMinutes is how long a job waits before it begins.
	WaitMinutes int
	// ProtectedBranches lets only branches with rules of their own deploy.
	ProtectedBranches bool
	// Branches and Tags are patterns of what may deploy; nil both lets all.
	Branches, Tags []string
}

// Branch of the repository.
type Branch struct {
	Name, SHA string
	Protected bool
}

// Job of a workflow run.
type Job struct {
	RunID, Attempt int64
	// Runner is the name of the one that it runs on, Status such as in_progress.
	Runner, Status string
	// URL is where people look at it.
	URL string
}

// review is somebody's approval of a run.
type review struct {
	runID        int64
	state        string
	environments []string
}

// SetEnvironment adds an environment, or replaces the one of the name.
func (s *Server) SetEnvironment(e Environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropEnvironment(e.Name)
	s.environments = append(s.environments, &e)
}

// Environments are the names of all.
func (s *Server) Environments() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, e := range s.environments {
		names = append(names, e.Name)
	}
	return names
}

// Review lets somebody review a run: state is approved, rejected or pending.
func (s *Server) Review(runID int64, state string, environments ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reviews = append(s.reviews, review{runID, state, environments})
}

// AddBranch adds a branch.
func (s *Server) AddBranch(b Branch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.branches = append(s.branches, b)
}

// AddJob adds a job to a workflow run.
func (s *Server) AddJob(j Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = append(s.jobs, j)
}

// environment finds one; names know no upper and lower case. Callers hold mu.
func (s *Server) environment(name string) *Environment {
	for _, e := range s.environments {
		if strings.EqualFold(e.Name, name) {
			return e
		}
	}
	return nil
}

// dropEnvironment reports whether it was there. Callers hold mu.
func (s *Server) dropEnvironment(name string) bool {
	before := len(s.environments)
	s.environments = slices.DeleteFunc(s.environments, func(e *Environment) bool { return strings.EqualFold(e.Name, name) })
	return len(s.environments) < before
}

func (e *Environment) shown() map[string]any {
	rules := []any{}
	if e.WaitMinutes > 0 {
		rules = append(rules, map[string]any{"id": 1, "node_id": "R1", "type": "wait_timer", "wait_timer": e.WaitMinutes})
	}
	if len(e.Reviewers) > 0 {
		rules = append(rules, map[string]any{
			"id": 2, "node_id": "R2", "type": "required_reviewers", "prevent_self_review": e.NotOneself, "reviewers": e.reviewers(),
		})
	}
	shown := map[string]any{"id": 3, "name": e.Name, "protection_rules": rules, "deployment_branch_policy": nil}
	if custom := e.custom(); custom || e.ProtectedBranches {
		shown["deployment_branch_policy"] = map[string]any{"protected_branches": e.ProtectedBranches, "custom_branch_policies": custom}
		shown["protection_rules"] = append(rules, map[string]any{"id": 4, "node_id": "R4", "type": "branch_policy"})
	}
	return shown
}

func (e *Environment) custom() bool { return e.Branches != nil || e.Tags != nil }

func (e *Environment) reviewers() []any {
	var all []any
	for _, name := range e.Reviewers {
		if slug, isTeam := strings.CutPrefix(name, "@"); isTeam {
			all = append(all, map[string]any{"type": "Team", "reviewer": map[string]any{"id": 5, "name": slug, "slug": slug}})
			continue
		}
		all = append(all, map[string]any{"type": "User", "reviewer": map[string]any{"id": 6, "login": name, "type": "User"}})
	}
	return all
}

func (s *Server) listEnvironments(w http.ResponseWriter, r *http.Request) {
	from, to := s.page(w, r, len(s.environments))
	shown := []any{}
	for _, e := range s.environments[from:to] {
		shown = append(shown, e.shown())
	}
	answer(w, http.StatusOK, map[string]any{"total_count": len(s.environments), "environments": shown})
}

func (s *Server) getEnvironment(w http.ResponseWriter, r *http.Request) {
	if e := s.environment(r.PathValue("name")); e != nil {
		answer(w, http.StatusOK, e.shown())
		return
	}
	notFound(w)
}

func (s *Server) deleteEnvironment(w http.ResponseWriter, r *http.Request) {
	if !s.dropEnvironment(r.PathValue("name")) {
		notFound(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listBranchPolicies(w http.ResponseWriter, r *http.Request) {
	e := s.environment(r.PathValue("name"))
	if e == nil || !e.custom() {
		notFound(w)
		return
	}
	policies := []any{}
	for _, pattern := range e.Branches {
		policies = append(policies, map[string]any{"id": 7, "name": pattern, "type": "branch"})
	}
	for _, pattern := range e.Tags {
		policies = append(policies, map[string]any{"id": 8, "name": pattern, "type": "tag"})
	}
	answer(w, http.StatusOK, map[string]any{"total_count": len(policies), "branch_policies": policies})
}

func (s *Server) listReviews(w http.ResponseWriter, r *http.Request) {
	shown := []any{}
	for _, one := range s.reviews {
		if one.runID != int64(number(r, "run")) {
			continue
		}
		var environments []any
		for _, name := range one.environments {
			environments = append(environments, map[string]any{"id": 3, "name": name})
		}
		shown = append(shown, map[string]any{
			"state": one.state, "comment": "", "environments": environments, "user": map[string]any{"login": "octocat", "type": "User"},
		})
	}
	answer(w, http.StatusOK, shown)
}

func (s *Server) listJobs(w http.ResponseWriter, r *http.Request) {
	shown := []any{}
	for i, j := range s.jobs {
		if j.RunID == int64(number(r, "run")) && j.Attempt == int64(number(r, "attempt")) {
			shown = append(shown, map[string]any{
				"id": i + 1, "run_id": j.RunID, "status": j.Status, "html_url": j.URL, "runner_name": j.Runner, "runner_id": 1,
			})
		}
	}
	answer(w, http.StatusOK, map[string]any{"total_count": len(shown), "jobs": shown})
}

func (s *Server) listBranches(w http.ResponseWriter, r *http.Request) {
	var all []Branch
	for _, b := range s.branches {
		if r.URL.Query().Get("protected") != "true" || b.Protected {
			all = append(all, b)
		}
	}
	from, to := s.page(w, r, len(all))
	shown := []any{}
	for _, b := range all[from:to] {
		shown = append(shown, map[string]any{"name": b.Name, "protected": b.Protected, "commit": map[string]any{"sha": b.SHA}})
	}
	answer(w, http.StatusOK, shown)
}

// matchingRefs answers all whose names begin as asked for.
func (s *Server) matchingRefs(w http.ResponseWriter, r *http.Request) {
	shown := []any{}
	for _, b := range s.branches {
		ref := "heads/" + b.Name
		if strings.HasPrefix(ref, r.PathValue("ref")) {
			shown = append(shown, map[string]any{"ref": "refs/" + ref, "object": map[string]any{"type": "commit", "sha": (b.SHA + strings.Repeat("0", 40))[:40]}})
		}
	}
	answer(w, http.StatusOK, shown)
}
