package forge

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

// These are runs of branches.
var (
	ofMain  = Job{RunID: 77, Ref: "refs/heads/main"}
	ofTopic = Job{RunID: 77, Ref: "refs/heads/topic"}
)

func TestPermits(t *testing.T) {
	const approvalHint = "add `environment: {name: production, deployment: false}` to the job"
	reviewed := githubtest.Environment{Reviewers: []string{"octocat", "@ops"}, WaitMinutes: 90}
	branches := githubtest.Environment{Branches: []string{"main", "release/*"}, Tags: []string{"v*"}}
	protected := githubtest.Environment{ProtectedBranches: true}
	approve := func(state string, environments ...string) func(*githubtest.Server) {
		return func(s *githubtest.Server) { s.Review(77, state, environments...) }
	}
	for name, c := range map[string]struct {
		environment githubtest.Environment
		job         Job
		change      func(*githubtest.Server)
		rules       string
		refused     string
		hint        string
	}{
		"no rules":        {githubtest.Environment{}, ofTopic, nil, "", "", ""},
		"a wait":          {githubtest.Environment{WaitMinutes: 30}, ofMain, nil, "waits 30m", "", ""},
		"approved":        {reviewed, ofMain, approve("approved", "staging", "Production"), "must be approved by octocat or ops; waits 1h30m", "", ""},
		"nobody approved": {reviewed, ofMain, nil, "must be approved by octocat or ops; waits 1h30m", "production must be approved by octocat or ops, and nobody has approved this run for it", approvalHint},
		"rejected":        {reviewed, ofMain, approve("rejected", "production"), "must be approved by octocat or ops; waits 1h30m", "nobody has approved", approvalHint},
		"another one was": {reviewed, ofMain, approve("approved", "staging"), "must be approved by octocat or ops; waits 1h30m", "nobody has approved", approvalHint},
		"another run was": {reviewed, Job{RunID: 78}, approve("approved", "production"), "must be approved by octocat or ops; waits 1h30m", "nobody has approved", approvalHint},
		"not oneself": {
			githubtest.Environment{Reviewers: []string{"octocat"}, NotOneself: true},
			ofMain, approve("approved", "production"),
			"must be approved by octocat, not by who began the run", "", "",
		},
		"of a branch": {branches, ofMain, nil, "only from main, release/*, tag v*", "", ""},
		"of a tag":    {branches, Job{Ref: "refs/tags/v1.2.3"}, nil, "only from main, release/*, tag v*", "", ""},
		"of another branch": {
			branches, ofTopic, nil, "only from main, release/*, tag v*",
			"production takes deployments only from main, release/*, tag v*, and this run is of topic", "run it from there",
		},
		"of another tag": {branches, Job{Ref: "refs/tags/main"}, nil, "only from main, release/*, tag v*", "this run is of the tag main", "run it from there"},
		"from nowhere":   {githubtest.Environment{Tags: []string{}}, ofMain, nil, "from no branch or tag", "production takes deployments from no branch or tag", "run it from there"},
		"of a protected branch": {
			protected, ofMain, func(s *githubtest.Server) { s.AddBranch(githubtest.Branch{Name: "main", Protected: true}) }, "only from protected branches", "", "",
		},
		"of the last protected branch of many": {
			protected, ofMain, func(s *githubtest.Server) {
				for range 150 {
					s.AddBranch(githubtest.Branch{Name: "x", Protected: true})
				}
				s.AddBranch(githubtest.Branch{Name: "main", Protected: true})
			}, "only from protected branches", "", "",
		},
		"of a branch that is not protected": {
			protected, ofTopic, func(s *githubtest.Server) {
				s.AddBranch(githubtest.Branch{Name: "main", Protected: true})
				s.AddBranch(githubtest.Branch{Name: "topic"})
			}, "only from protected branches", "this run is of topic", "run it from there",
		},
		"no branch is protected: all may": {protected, ofTopic, nil, "only from protected branches", "", ""},
		"no tag is a protected branch":    {protected, Job{Ref: "refs/tags/v1"}, nil, "only from protected branches", "this run is of the tag v1", "run it from there"},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			c.environment.Name = "production"
			server.SetEnvironment(c.environment)
			if c.change != nil {
				c.change(server)
			}
			permit, err := connect(t, server).Permit(t.Context(), "production", c.job)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(permit.Rules, "; "); got != c.rules {
				t.Errorf("rules %q", got)
			}
			if c.refused == "" && permit.Refused != nil || c.refused != "" && (permit.Refused == nil || !strings.Contains(permit.Refused.Error(), c.refused)) {
				t.Errorf("refused: %v", permit.Refused)
			}
			if hint := deploy.HintOf(permit.Refused); !strings.HasPrefix(hint, c.hint) {
				t.Errorf("hint %q", hint)
			}
		})
	}
}

func TestAnEnvironmentThatIsNotThereIsNotProtected(t *testing.T) {
	permit, err := connect(t, githubtest.New(t)).Permit(t.Context(), "a/b c", ofMain)
	if err != nil || permit.Refused != nil || permit.Rules != nil {
		t.Errorf("%+v, %v", permit, err)
	}
}

// TestWhatATokenMayNotReadIsNoRefusal: it is an error, which says what to give.
func TestWhatATokenMayNotReadIsNoRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		environment githubtest.Environment
		fault       string
		status      int
		want        []string
	}{
		"the environment":     {githubtest.Environment{}, "/environments/production$", 403, []string{"read the protection rules of production: GitHub answered 403"}},
		"any environment":     {githubtest.Environment{}, "/environments", 404, []string{"read the protection rules of production: GitHub answered 404"}},
		"the branches it has": {githubtest.Environment{Branches: []string{"main"}}, "/deployment-branch-policies", 404, []string{"read the deployment branches of production: GitHub answered 404"}},
		"who approved": {
			githubtest.Environment{Reviewers: []string{"octocat"}}, "/approvals", 403, []string{"read who has approved this run: GitHub answered 403"},
		},
		"two of them": {
			githubtest.Environment{Reviewers: []string{"octocat"}, ProtectedBranches: true},
			"/approvals|/branches", 403,
			[]string{"list the protected branches: GitHub answered 403", "; read who has approved this run: GitHub answered 403"},
		},
		"GitHub's own trouble": {githubtest.Environment{}, "/environments", 502, []string{"read the protection rules of production: GitHub answered 502"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			c.environment.Name = "production"
			server.SetEnvironment(c.environment)
			server.Fail(githubtest.Fault{Match: c.fault, Times: -1, Status: c.status})
			permit, err := connect(t, server).Permit(t.Context(), "production", ofMain)
			if err == nil || permit.Refused != nil {
				t.Fatalf("%+v, %v", permit, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
			if hint := deploy.HintOf(err); c.status < 500 && !strings.Contains(hint, ": read}`") {
				t.Errorf("hint %q", hint)
			}
		})
	}
}

// TestPatterns has the meanings of File.fnmatch with FNM_PATHNAME,
// https://docs.ruby-lang.org/en/master/File.html#method-c-fnmatch.
func TestPatterns(t *testing.T) {
	branch := func(p string) RefPattern { return RefPattern{Pattern: p} }
	tag := func(p string) RefPattern { return RefPattern{Pattern: p, Tag: true} }
	for _, c := range []struct {
		pattern RefPattern
		ref     string
		want    bool
	}{
		{branch("main"), "refs/heads/main", true},
		{branch("main"), "refs/heads/main2", false},
		{branch("main"), "refs/tags/main", false},
		{branch("*"), "refs/heads/main", true},
		{branch("*"), "refs/heads/a/b", false},
		{branch("release/*"), "refs/heads/release/1.4", true},
		{branch("release/*"), "refs/heads/release/1/4", false},
		{branch("release/*/*"), "refs/heads/release/1/4", true},
		{branch("release/**/x"), "refs/heads/release/x", true},
		{branch("release/**/x"), "refs/heads/release/1/4/x", true},
		{branch("release/**/x"), "refs/heads/release/1/4/y", false},
		{branch("**/x"), "refs/heads/x", true},
		{branch("v[0-9]"), "refs/heads/v1", true},
		{branch("v[0-9"), "refs/heads/v[0-9", true},
		{branch("v[0-9"), "refs/heads/v1", false},
		{branch("refs/pull/*/merge"), "refs/pull/7/merge", true},
		{branch("main"), "refs/pull/7/merge", false},
		{branch("*"), "", true},
		{tag("v*"), "refs/tags/v1.2.3", true},
		{tag("v*"), "refs/heads/v1.2.3", false},
		{tag("v?.?"), "refs/tags/v1.2", true},
	} {
		if got := c.pattern.Matches(c.ref); got != c.want {
			t.Errorf("%+v matches %s: %t", c.pattern, c.ref, got)
		}
	}
}

func TestRemoveEnvironment(t *testing.T) {
	server := githubtest.New(t)
	server.SetEnvironment(githubtest.Environment{Name: "pr-7"})
	c := connect(t, server)
	err := c.RemoveEnvironment(t.Context(), "pr-7")
	if err == nil || !strings.Contains(deploy.HintOf(err), "administration: write") || len(server.Environments()) != 1 {
		t.Errorf("a job's token: %v, left %v", err, server.Environments())
	}
	server.Permissions = map[string]string{"administration": "write"}
	for range 2 { // one that is not there is fine
		if err := c.RemoveEnvironment(t.Context(), "pr-7"); err != nil || len(server.Environments()) != 0 {
			t.Errorf("%v, left %v", err, server.Environments())
		}
	}
}

func TestJobURL(t *testing.T) {
	server := githubtest.New(t)
	const url = "https://github.com/acme/hello/actions/runs/77/job/3"
	for _, j := range []githubtest.Job{
		{RunID: 77, Attempt: 1, Runner: "r1", Status: "completed", URL: "https://x.example/1"},
		{RunID: 77, Attempt: 2, Runner: "r1", Status: "completed", URL: "https://x.example/2"},
		{RunID: 77, Attempt: 2, Runner: "r2", Status: "in_progress", URL: "https://x.example/3"},
		{RunID: 77, Attempt: 2, Runner: "r1", Status: "in_progress", URL: url},
	} {
		server.AddJob(j)
	}
	c := connect(t, server)
	if got, err := c.JobURL(t.Context(), 77, 2, "r1"); got != url || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := c.JobURL(t.Context(), 77, 3, "r1"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRulesOfNothing(t *testing.T) {
	if rules := (Protection{}).Rules(); len(rules) != 0 {
		t.Error(rules)
	}
	if rules := (Protection{Refs: []RefPattern{}}).Rules(); !slices.Equal(rules, []string{"from no branch or tag"}) {
		t.Error(rules)
	}
}
