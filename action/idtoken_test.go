package action

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	requestKey = "request-key-1"
	provider   = "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/github/providers/acme"
)

// issuer answers as GitHub's token service does: to a GET with the job's key
// and an audience. before may answer in its place.
func issuer(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool) (*Runner, func() string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case before != nil && before(w, r):
		case r.Method != http.MethodGet || r.URL.Path != "/7/idtoken" || r.FormValue("api-version") != "2.0":
			w.WriteHeader(http.StatusNotFound)
		case r.Header.Get("Authorization") != "Bearer "+requestKey:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			token := tokenFor(r.FormValue("audience"))
			_ = json.NewEncoder(w).Encode(map[string]any{"count": len(token), "value": token})
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	r, out := onRunner(env{idTokenURL: s.URL + "/7/idtoken?api-version=2.0", idTokenKey: requestKey})
	return r, out.String
}

// tokenFor has the shape of GitHub's tokens, and no signature.
func tokenFor(audience string) string {
	part := func(claims map[string]string) string {
		text, _ := json.Marshal(claims)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(map[string]string{"alg": "none"}) + "." +
		part(map[string]string{"aud": audience, "sub": "repo:acme/hello:ref:refs/heads/main"}) + ".c2lnbmF0dXJl"
}

func TestIDToken(t *testing.T) {
	r, out := issuer(t, nil)
	token, err := r.IDToken(t.Context(), provider)
	if err != nil {
		t.Fatal(err)
	}
	if want := tokenFor(provider); token != want {
		t.Errorf("got %s, want %s", token, want)
	}
	if want := "::add-mask::" + token; strings.TrimSpace(out()) != want {
		t.Errorf("printed %q, not %q", out(), want)
	}
	if got := r.Masker().String("Bearer " + token); got != "Bearer ***" {
		t.Errorf("it is not masked: %s", got)
	}
}

func TestIDTokenWithoutPermission(t *testing.T) {
	for name, c := range map[string]struct {
		env  env
		says string
	}{
		"no runner":       {env{"GITHUB_ACTIONS": "", idTokenURL: "http://127.0.0.1:1", idTokenKey: "k"}, "this is no job of GitHub Actions"},
		"no permission":   {nil, "this job may not have an OIDC token"},
		"half of it":      {env{idTokenURL: "http://127.0.0.1:1"}, "this job may not have an OIDC token"},
		"the other half":  {env{idTokenKey: "k"}, "this job may not have an OIDC token"},
		"empty as unset":  {env{idTokenURL: "", idTokenKey: ""}, "this job may not have an OIDC token"},
		"a fork's, empty": {env{"GITHUB_EVENT_NAME": "pull_request"}, "this job may not have an OIDC token"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := onRunner(c.env)
			token, err := r.IDToken(t.Context(), provider)
			if token != "" || !deploy.IsUsage(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, %v", token, err)
			}
			if hint := deploy.HintOf(err); !strings.Contains(hint, "permissions: {id-token: write}") {
				t.Errorf("the hint does not name the permission: %s", hint)
			}
		})
	}
}

// An audience that GitHub does not issue for is said at once, and in its words.
func TestIDTokenIsRefused(t *testing.T) {
	var asked atomic.Int32
	r, _ := issuer(t, func(w http.ResponseWriter, _ *http.Request) bool {
		asked.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"$id":"1","message":"Can't issue ID_TOKEN for audience\n'x'."}`)
		return true
	})
	_, err := r.IDToken(t.Context(), "x")
	if want := "ask GitHub for an OIDC token: it answered 400: Can't issue ID_TOKEN for audience 'x'."; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if deploy.HintOf(err) == "" || asked.Load() != 1 {
		t.Errorf("asked %d times, hint %q", asked.Load(), deploy.HintOf(err))
	}
}

func TestIDTokenIsAskedForAgain(t *testing.T) {
	var asked atomic.Int32
	r, _ := issuer(t, func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) > 1 {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	if token, err := r.IDToken(t.Context(), provider); err != nil || token != tokenFor(provider) {
		t.Errorf("got %q, %v", token, err)
	}
}

func TestIDTokenOfAnOddAnswer(t *testing.T) {
	for name, body := range map[string]string{"empty": "", "no value": `{"count":0}`, "no JSON": "<html>secret</html>"} {
		t.Run(name, func(t *testing.T) {
			r, out := issuer(t, func(w http.ResponseWriter, _ *http.Request) bool {
				_, _ = fmt.Fprint(w, body)
				return true
			})
			token, err := r.IDToken(t.Context(), provider)
			if token != "" || err == nil || strings.Contains(err.Error(), "secret") || out() != "" {
				t.Errorf("got %q, %v, printed %q", token, err, out())
			}
		})
	}
}

func TestIDTokenIsWaitedForWithinLimits(t *testing.T) {
	r, _ := issuer(t, func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	_, err := r.idToken(t.Context(), provider, 20*time.Millisecond)
	if want := "ask GitHub for an OIDC token: timed out after 20ms waiting for GitHub"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.IDToken(ctx, provider)
	if err == nil || !strings.HasSuffix(err.Error(), "interrupted") {
		t.Errorf("after it was cancelled: %v", err)
	}
}

func TestIDTokenOfNobodyThere(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	r, _ := onRunner(env{idTokenURL: s.URL + "/?key=of-the-address", idTokenKey: requestKey})
	_, err := r.IDToken(t.Context(), provider)
	if err == nil || deploy.IsUsage(err) || deploy.HintOf(err) == "" {
		t.Fatalf("got %v", err)
	}
	if text := fmt.Sprintf("%v", err); strings.Contains(text, requestKey) || strings.Contains(text, "of-the-address") || !strings.Contains(text, "refused") {
		t.Error(text)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("it is told as a time-out")
	}
}

// What a runner hands over for itself is hidden without being asked.
func TestCredentialsOfTheRunnerAreMasked(t *testing.T) {
	r := New(env{"GITHUB_TOKEN": "ghs_of-the-job", "ACTIONS_RUNTIME_TOKEN": "of-the-runtime", idTokenKey: requestKey}.get, nil)
	if got := r.Masker().String("ghs_of-the-job of-the-runtime " + requestKey); got != "*** *** ***" {
		t.Error(got)
	}
}
