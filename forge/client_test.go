package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

// secret must never be seen in an error.
const secret = "hunter22-hunter22"

// connect is a client of the test's GitHub that does not wait long.
func connect(t *testing.T, server *githubtest.Server) *Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := New(Options{
		APIURL: server.URL, Repository: githubtest.Repository, Token: githubtest.Token, Transport: transport,
		Budget: 30 * time.Second, RequestLimit: time.Minute, FirstWait: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAGitHubThatIsAwayIsAskedOnceMoreEachTime(t *testing.T) {
	server := githubtest.New(t)
	server.Fail(githubtest.Fault{Match: ".", Times: -1, Status: 502})
	c := connect(t, server)
	ask := func() error {
		return c.Do(context.Background(), "ask", "x: read", func(ctx context.Context) error {
			_, _, err := c.API.Users.Get(ctx, "")
			return err
		})
	}
	for i := range 3 {
		if err := ask(); err == nil || len(server.Requests()) != Attempts+i {
			t.Errorf("%d requests, %v", len(server.Requests()), err)
		}
	}
	server.Recover()
	if err := ask(); !errors.As(err, new(*Denied)) { // a job's token may not ask
		t.Errorf("it is back, but: %v", err)
	}
	server.Fail(githubtest.Fault{Match: ".", Times: 1, Status: 502})
	before := len(server.Requests())
	if err := ask(); !errors.As(err, new(*Denied)) || len(server.Requests()) != before+2 {
		t.Errorf("it was not asked again: %v", err)
	}
}

func TestNewRefusesWhatCannotBe(t *testing.T) {
	for name, o := range map[string]Options{
		"no repository":           {},
		"no owner":                {Repository: "/hello"},
		"no name":                 {Repository: "acme/"},
		"too much":                {Repository: "acme/hello/world"},
		"an address without host": {Repository: "acme/hello", APIURL: "api.github.com"},
		"another scheme":          {Repository: "acme/hello", APIURL: "ftp://" + secret + "@api.github.com"},
		"nonsense":                {Repository: "acme/hello", APIURL: "http://" + secret + "@%zz"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(o)
			if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
				t.Errorf("no usage error with a hint: %v", err)
			}
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("the password is in it: %v", err)
			}
		})
	}
	for _, url := range []string{"", "https://github.example/api/v3", "https://github.example/api/v3/"} {
		if _, err := New(Options{Repository: "acme/hello", APIURL: url}); err != nil {
			t.Error(err)
		}
	}
}
