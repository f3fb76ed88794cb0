package forge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	environmentsPermission = "actions: read"
	// maxBranches bounds how many protected branches are looked through.
	maxBranches = 1000
)

// Protection are the rules that GitHub has for an environment. Its zero value
// protects nothing.
type Protection struct {
	// Reviewers are those of whom one has to approve a job before it begins:
	// logins of people, and slugs of teams.
	Reviewers []string
	// NotOneself: whoever began the run may not approve it.
	NotOneself bool
	// Wait is how long GitHub lets a job wait before it begins, in whole minutes.
	Wait time.Duration
	// ProtectedBranches: only branches that have rules of their own may deploy.
	ProtectedBranches bool
	// Refs: only what matches one of them may deploy. It is nil where any may,
	// and empty where none may.
	Refs []RefPattern
}

// RefPattern matches names of branches, or of tags.
type RefPattern struct {
	// Pattern is one of Ruby's File.fnmatch: a '*' matches no '/'.
	Pattern string
	Tag     bool
}

// Rules are the protection in words, one line for each rule.
func (p Protection) Rules() []string {
	var rules []string
	if len(p.Reviewers) > 0 {
		rule := "must be approved by " + strings.Join(p.Reviewers, " or ")
		if p.NotOneself {
			rule += ", not by who began the run"
		}
		rules = append(rules, rule)
	}
	if p.Wait > 0 {
		rules = append(rules, "waits "+minutes(p.Wait))
	}
	if from := p.from(); from != "" {
		rules = append(rules, from)
	}
	return rules
}

// from says what may deploy; empty where all may.
func (p Protection) from() string {
	switch {
	case p.ProtectedBranches:
		return "only from protected branches"
	case p.Refs == nil:
		return ""
	case len(p.Refs) == 0:
		return "from no branch or tag"
	}
	var names []string
	for _, r := range p.Refs {
		name := r.Pattern
		if r.Tag {
			name = "tag " + name
		}
		names = append(names, name)
	}
	return "only from " + strings.Join(names, ", ")
}

// minutes prints 90m as 1h30m, without seconds.
func minutes(d time.Duration) string { return strings.TrimSuffix(d.String(), "0s") }

// Protection reads the rules of an environment. One that GitHub does not have
// is not protected.
func (c *Client) Protection(ctx context.Context, environment string) (Protection, error) {
	var found described
	err := c.Do(ctx, "read the protection rules of "+environment, environmentsPermission, func(ctx context.Context) error {
		err := c.get(ctx, &found, "environments", environment)
		if Gone(err) && c.readsEnvironments(ctx) {
			return nil // there is none
		}
		return err
	})
	if err != nil {
		return Protection{}, err
	}
	p := found.protection()
	if found.Branches != nil && found.Branches.Custom {
		p.Refs, err = c.refPatterns(ctx, environment)
	}
	return p, err
}

// readsEnvironments tells an environment that is not there from a token that
// may not see any: GitHub answers both with 404.
func (c *Client) readsEnvironments(ctx context.Context) bool {
	return c.get(ctx, nil, "environments") == nil
}

// described is what GitHub says of an environment.
type described struct {
	Rules []struct {
		Type       string `json:"type"`
		WaitTimer  int    `json:"wait_timer"`
		NotOneself bool   `json:"prevent_self_review"`
		Reviewers  []struct {
			Reviewer struct {
				Login string `json:"login"`
				Slug  string `json:"slug"`
			} `json:"reviewer"`
		} `json:"reviewers"`
	} `json:"protection_rules"`
	Branches *struct {
		Protected bool `json:"protected_branches"`
		Custom    bool `json:"custom_branch_policies"`
	} `json:"deployment_branch_policy"`
}

func (d described) protection() Protection {
	var p Protection
	for _, rule := range d.Rules {
		p.Wait += time.Duration(rule.WaitTimer) * time.Minute
		p.NotOneself = p.NotOneself || rule.NotOneself
		for _, r := range rule.Reviewers {
			p.Reviewers = append(p.Reviewers, orElse(r.Reviewer.Login, r.Reviewer.Slug))
		}
	}
	p.ProtectedBranches = d.Branches != nil && d.Branches.Protected
	return p
}

func (c *Client) refPatterns(ctx context.Context, environment string) ([]RefPattern, error) {
	var found struct {
		Policies []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"branch_policies"`
	}
	err := c.Do(ctx, "read the deployment branches of "+environment, environmentsPermission, func(ctx context.Context) error {
		return c.get(ctx, &found, "environments", environment, "deployment-branch-policies")
	})
	if err != nil {
		return nil, err
	}
	patterns := []RefPattern{}
	for _, p := range found.Policies {
		patterns = append(patterns, RefPattern{Pattern: p.Name, Tag: p.Type == "tag"})
	}
	return patterns, nil
}

// Approved reports whether somebody has approved the run for an environment. A
// run is asked about once, and its environments at the same time or later.
func (c *Client) Approved(ctx context.Context, runID int64, environment string) (bool, error) {
	c.reviews.mu.Lock()
	defer c.reviews.mu.Unlock()
	if c.reviews.runID != runID || c.reviews.all == nil {
		all := []review{}
		err := c.Do(ctx, "read who has approved this run", environmentsPermission, func(ctx context.Context) error {
			return c.get(ctx, &all, "actions", "runs", strconv.FormatInt(runID, 10), "approvals")
		})
		if err != nil {
			return false, err
		}
		c.reviews.runID, c.reviews.all = runID, all
	}
	return slices.ContainsFunc(c.reviews.all, func(r review) bool { return r.approves(environment) }), nil
}

// reviews are those of the run that was asked about last.
type reviews struct {
	mu    sync.Mutex
	runID int64
	all   []review
}

// review is what somebody has said about a run's jobs.
type review struct {
	State        string `json:"state"`
	Environments []struct {
		Name string `json:"name"`
	} `json:"environments"`
}

func (r review) approves(environment string) bool {
	for _, e := range r.Environments {
		if r.State == "approved" && strings.EqualFold(e.Name, environment) {
			return true
		}
	}
	return false
}

// Job is the run that wants to deploy.
type Job struct {
	// RunID is the workflow run's.
	RunID int64
	// Ref is the full name, such as refs/heads/main.
	Ref string
}

// Permit is what GitHub says about deploying to an environment.
type Permit struct {
	// Rules are those that protect it, in words.
	Rules []string
	// Refused says which of them the job does not meet; nil where it may go on.
	Refused error
}

// Permit reads the rules of an environment, and holds the job against them: it
// must have been approved, and be of a branch or tag that may deploy. That it
// has waited is for GitHub to see to.
func (c *Client) Permit(ctx context.Context, environment string, j Job) (Permit, error) {
	p, err := c.Protection(ctx, environment)
	if err != nil {
		return Permit{}, err
	}
	permit := Permit{Rules: p.Rules()}
	meets, err := c.meets(ctx, p, j.Ref)
	if err == nil && !meets {
		permit.Refused = deploy.Hinted(
			fmt.Errorf("%s takes deployments %s, and this run is of %s", environment, p.from(), shortRef(j.Ref)),
			"run it from there, or change the deployment branches and tags of the environment in the repository's settings")
		return permit, nil
	}
	if len(p.Reviewers) == 0 {
		return permit, err
	}
	approved, unread := c.Approved(ctx, j.RunID, environment)
	if unread == nil && !approved {
		permit.Refused = deploy.Hinted(
			fmt.Errorf("%s must be approved by %s, and nobody has approved this run for it", environment, strings.Join(p.Reviewers, " or ")),
			"add `environment: {name: %s, deployment: false}` to the job: GitHub then asks for the approval before it starts", environment)
	}
	if err != nil && unread != nil {
		return permit, fmt.Errorf("%w; %w", err, unread)
	}
	return permit, cmp.Or(err, unread)
}

// meets reports whether a ref may deploy.
func (c *Client) meets(ctx context.Context, p Protection, ref string) (bool, error) {
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	switch {
	case p.ProtectedBranches && isBranch:
		return c.isProtected(ctx, branch)
	case p.ProtectedBranches:
		return false, nil
	case p.Refs == nil:
		return true, nil
	}
	return slices.ContainsFunc(p.Refs, func(r RefPattern) bool { return r.Matches(ref) }), nil
}

// isProtected reports whether a branch has rules of its own, or no branch of
// the repository has: then GitHub lets all of them deploy.
func (c *Client) isProtected(ctx context.Context, branch string) (bool, error) {
	o := &github.BranchListOptions{Protected: github.Bool(true), ListOptions: github.ListOptions{PerPage: 100}}
	for seen := 0; seen < maxBranches; {
		var page []*github.Branch
		var response *github.Response
		err := c.Do(ctx, "list the protected branches", "contents: read", func(ctx context.Context) (err error) {
			page, response, err = c.API.Repositories.ListBranches(ctx, c.Owner, c.Name, o)
			return err
		})
		if err != nil {
			return false, err
		}
		seen += len(page)
		found := slices.ContainsFunc(page, func(b *github.Branch) bool { return b.GetName() == branch })
		if found || response.NextPage == 0 {
			return found || seen == 0, nil
		}
		o.Page = response.NextPage
	}
	return false, fmt.Errorf("whether %s is a protected branch is not known: there are more than %d", branch, maxBranches)
}

// Matches reports whether a ref, such as refs/heads/release/1.4, has a name of
// the pattern. What is neither branch nor tag, such as refs/pull/7/merge, is
// matched whole, as GitHub does.
func (r RefPattern) Matches(ref string) bool {
	prefix := "refs/heads/"
	if r.Tag {
		prefix = "refs/tags/"
	}
	name, ok := strings.CutPrefix(ref, prefix)
	if !ok {
		if strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/") {
			return false
		}
		name = ref
	}
	return match(strings.Split(r.Pattern, "/"), strings.Split(name, "/"))
}

// match goes part by part; "**" stands for any number of parts, as before the
// last one in Ruby.
func match(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**" && len(pattern) > 1:
		return match(pattern[1:], name) || len(name) > 0 && match(pattern, name[1:])
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(pattern[0], name[0])
	if err != nil {
		ok = pattern[0] == name[0] // it is no pattern, and so a name
	}
	return ok && match(pattern[1:], name[1:])
}

// shortRef is a ref as people call it.
func shortRef(ref string) string {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "the tag " + tag
	}
	return orElse(strings.TrimPrefix(ref, "refs/heads/"), "no branch")
}

// RemoveEnvironment removes an environment with its rules, variables and
// secrets. One that is not there is fine. It needs more than a job's own token
// may ever do.
func (c *Client) RemoveEnvironment(ctx context.Context, environment string) error {
	return c.Do(ctx, "remove the environment "+environment, "administration: write", func(ctx context.Context) error {
		request, err := c.API.NewRequest(http.MethodDelete, c.path("environments", environment), nil)
		if err != nil {
			return err
		}
		if _, err = c.API.Do(ctx, request, nil); Gone(err) {
			return nil
		}
		return err
	})
}
