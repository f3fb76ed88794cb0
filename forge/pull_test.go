package forge

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/forge/githubtest"
)

func TestPulls(t *testing.T) {
	for name, c := range map[string]struct {
		pull   githubtest.Pull
		branch string
		want   Pull
		over   string
	}{
		"open":                         {githubtest.Pull{State: "open", Branch: "topic"}, "topic", Pull{Open: true}, ""},
		"open, from a fork":            {githubtest.Pull{State: "open", Branch: "topic", Fork: "octocat/hello"}, "", Pull{Open: true}, ""},
		"merged":                       {githubtest.Pull{State: "closed", Branch: "topic", Merged: true}, "", Pull{Merged: true}, "it was merged"},
		"closed":                       {githubtest.Pull{State: "closed", Branch: "topic"}, "topic", Pull{}, "it was closed"},
		"closed with its branch":       {githubtest.Pull{State: "closed", Branch: "topic"}, "topic-2", Pull{BranchGone: true}, "its branch was deleted"},
		"closed, from a fork":          {githubtest.Pull{State: "closed", Branch: "topic", Fork: "octocat/hello"}, "", Pull{}, "it was closed"},
		"closed with a branch of path": {githubtest.Pull{State: "closed", Branch: "feat/a b"}, "feat/a b", Pull{}, "it was closed"},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			c.pull.Number = 7
			server.AddPull("abc", c.pull)
			if c.branch != "" {
				server.AddBranch(githubtest.Branch{Name: c.branch})
			}
			got, err := connect(t, server).Pull(t.Context(), 7)
			if err != nil || got != c.want || got.Over() != c.over {
				t.Errorf("%+v, %q, %v", got, got.Over(), err)
			}
		})
	}
}

func TestABranchThatMayNotBeReadIsNotGone(t *testing.T) {
	server := githubtest.New(t)
	server.Permissions = map[string]string{"pull-requests": "read"}
	server.AddPull("abc", githubtest.Pull{Number: 7, State: "closed", Branch: "topic"})
	got, err := connect(t, server).Pull(t.Context(), 7)
	if err != nil || got.Over() != "it was closed" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAPullRequestThatIsNotThere(t *testing.T) {
	_, err := connect(t, githubtest.New(t)).Pull(t.Context(), 8)
	if err == nil || !strings.HasPrefix(err.Error(), "read pull request #8: GitHub answered 404") {
		t.Error(err)
	}
}

// forkless answers with a pull request whose fork was deleted, which GitHub's
// description of its API leaves out:
// https://github.com/github/rest-api-description/issues/1811
type forkless struct{}

func (forkless) RoundTrip(r *http.Request) (*http.Response, error) {
	body := `{"number": 7, "state": "open", "head": {"ref": "topic", "repo": null}}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestAForkThatWasDeleted(t *testing.T) {
	c, err := New(Options{Repository: githubtest.Repository, Token: githubtest.Token, Transport: forkless{}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Pull(t.Context(), 7)
	if err != nil || got.Over() != "its branch was deleted" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestHeadRoom(t *testing.T) {
	server := githubtest.New(t)
	server.Quota = 40
	c := connect(t, server)
	deployments(t, c)
	remaining, reset, err := c.HeadRoom(t.Context())
	if err != nil || remaining != 39 || !reset.Equal(server.Reset()) || time.Until(reset) <= 0 {
		t.Errorf("%d until %s, %v", remaining, reset, err)
	}
	server.Fail(githubtest.Fault{Match: "rate_limit", Times: 1, Status: 404, Message: "Rate limiting is not enabled."})
	if _, _, err := c.HeadRoom(t.Context()); err == nil {
		t.Error("a limit where there is none")
	}
}
