package access

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answering answers one request after the other with the next status; the last one
// stays.
type answering struct {
	statuses []int
	after    string // Retry-After
	bodies   []string
}

func (s *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := ""
	if r.Body != nil {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		sent = string(content)
	}
	status := s.statuses[min(len(s.bodies), len(s.statuses)-1)]
	s.bodies = append(s.bodies, sent)
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	answer := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("told")), Request: r}
	if s.after != "" {
		answer.Header.Set("Retry-After", s.after)
	}
	return answer, nil
}

func TestWhatMayBeAskedTwiceIs(t *testing.T) {
	const (
		one    = "/apis/apps/v1/namespaces/shop/deployments/web"
		all    = "/apis/apps/v1/namespaces/shop/deployments"
		stream = "/api/v1/namespaces/shop/pods/web-1/portforward"
		apply  = "application/apply-patch+yaml"
	)
	for name, c := range map[string]struct {
		method, path, content string
		server                answering
		status, tries         int
	}{
		"an update":                          {http.MethodPut, one, "", answering{statuses: []int{500, 503, 200}}, 200, 3},
		"a creation":                         {http.MethodPost, all, "", answering{statuses: []int{500, 201}}, 201, 2},
		"a patch":                            {http.MethodPatch, one, "application/merge-patch+json", answering{statuses: []int{504, 200}}, 200, 2},
		"a read":                             {http.MethodGet, one, "", answering{statuses: []int{500, 429, 200}}, 200, 3},
		"an answer that is lost":             {http.MethodPut, one, "", answering{statuses: []int{0, 200}}, 200, 2},
		"a conflict is an answer":            {http.MethodPut, one, "", answering{statuses: []int{409}}, 409, 1},
		"so is what is wrong":                {http.MethodPut, one, "", answering{statuses: []int{422}}, 422, 1},
		"what the library heeds":             {http.MethodPut, one, "", answering{statuses: []int{503}, after: "1"}, 503, 1},
		"a patch that adds to a list":        {http.MethodPatch, one, "application/json-patch+json", answering{statuses: []int{503}}, 503, 1},
		"a stream":                           {http.MethodPost, stream, "", answering{statuses: []int{503}}, 503, 1},
		"an eviction":                        {http.MethodPost, "/api/v1/namespaces/shop/pods/web-1/eviction", "", answering{statuses: []int{503}}, 503, 1},
		"what applies tells by words":        {http.MethodPatch, one, apply, answering{statuses: []int{500}}, 500, 1},
		"what applies meets on the way":      {http.MethodPatch, one, apply, answering{statuses: []int{502, 200}}, 200, 2},
		"a server that stays ill is told of": {http.MethodPut, one, "", answering{statuses: []int{500}}, 500, 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				carrier := &carrier{counts: newCounter(), patience: firstPatience}
				carrier.reached()
				r, err := http.NewRequestWithContext(t.Context(), c.method, "https://cluster"+c.path, strings.NewReader("an object"))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", c.content)
				began := time.Now()
				answer, err := carrier.wrap(&c.server).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				told, err := io.ReadAll(answer.Body)
				if err = errors.Join(err, answer.Body.Close()); err != nil || string(told) != "told" {
					t.Errorf("it is told %q: %v", told, err)
				}
				if answer.StatusCode != c.status || len(c.server.bodies) != c.tries {
					t.Errorf("status %d after %d tries, want %d after %d", answer.StatusCode, len(c.server.bodies), c.status, c.tries)
				}
				for _, sent := range c.server.bodies {
					if sent != "an object" {
						t.Errorf("%q is sent", sent)
					}
				}
				if took := time.Since(began); took > answeredPatience+pauseMost {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
