package forge

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/forge/githubtest"
)

// deployments asks for all.
func deployments(t *testing.T, c *Client) int {
	t.Helper()
	var all []struct{}
	if err := c.get(t.Context(), &all, "deployments"); err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestOnlyWhatHasChangedIsSentAgain(t *testing.T) {
	server := githubtest.New(t)
	server.Quota = 2
	c := connect(t, server)
	server.AddDeployment(githubtest.Deployment{Environment: "staging"}, "success")
	for range 3 { // more than the quota lets: answers of 304 do not count
		if n := deployments(t, c); n != 1 {
			t.Errorf("%d deployments", n)
		}
	}
	server.AddDeployment(githubtest.Deployment{Environment: "staging"}, "success")
	if n := deployments(t, c); n != 2 || server.Unchanged() != 2 {
		t.Errorf("%d deployments, %d answers of 304", n, server.Unchanged())
	}
	if c.Calls() != 4 || c.Calls() != len(server.Requests()) {
		t.Errorf("%d calls counted, %d came", c.Calls(), len(server.Requests()))
	}
}

// script answers by the path, with the same ETag each time.
type script struct{ asked []string }

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.URL.Path+" "+r.Header.Get("If-None-Match"))
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Etag": {`"1"`}, "X-Now": {fmt.Sprint(len(s.asked))}}, Request: r}
	body := "body of " + r.URL.Path
	switch {
	case r.Header.Get("If-None-Match") != "":
		answer.StatusCode, body = http.StatusNotModified, ""
	case r.URL.Path == "/large":
		body = strings.Repeat("x", maxAnswer+1)
	case r.URL.Path == "/broken":
		answer.StatusCode = http.StatusBadGateway
	}
	answer.Body = io.NopCloser(strings.NewReader(body))
	return answer, nil
}

func TestMemoryIsBounded(t *testing.T) {
	s := &script{}
	m := &memory{next: s, kept: map[string]kept{}}
	fetch := func(method, path string) string {
		r, err := http.NewRequest(method, "http://api.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := m.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Header.Get("X-Now") != fmt.Sprint(len(s.asked)) {
			t.Errorf("%s: the headers are those of before", path)
		}
		return string(body)
	}
	for range 2 {
		fetch("GET", "/large")
		fetch("GET", "/broken")
		fetch("POST", "/kept")
	}
	if got := strings.Join(s.asked, "|"); got != "/large |/broken |/kept |/large |/broken |/kept " {
		t.Errorf("asked %s", got)
	}
	for i := range maxKept + 1 {
		fetch("GET", fmt.Sprint("/", i))
	}
	if got := fetch("GET", "/1"); got != "body of /1" || s.asked[len(s.asked)-1] != `/1 "1"` {
		t.Errorf("%q after asking %s", got, s.asked[len(s.asked)-1])
	}
	if got := fetch("GET", "/0"); got != "body of /0" || s.asked[len(s.asked)-1] != "/0 " || len(m.kept) != maxKept || len(m.order) != maxKept {
		t.Errorf("%q, %d kept", got, len(m.kept))
	}
}
