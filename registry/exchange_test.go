package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// jwt is what is exchanged.
	jwt      = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZXBvOmFjbWUvaGVsbG8ifQ.c2ln"
	audience = "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/github/providers/acme"
)

// sts is a token service; it answers as answer says, or with a password.
type sts struct {
	url    string
	answer func(w http.ResponseWriter, asked int)

	mu    sync.Mutex
	asked []url.Values
}

func newSTS(t *testing.T, answer func(w http.ResponseWriter, asked int)) *sts {
	t.Helper()
	s := &sts{answer: answer}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL + "/v1/token"
	return s
}

func (s *sts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form := r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" && r.Method == http.MethodPost && r.ParseForm() == nil
	if !form || r.URL.Path != "/v1/token" || r.Header.Get("Authorization") != "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, r.PostForm)
	n := len(s.asked)
	s.mu.Unlock()
	if s.answer != nil {
		s.answer(w, n)
		return
	}
	grantIt(w, 3600)
}

func (s *sts) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// grantIt gives the password of the tests' account.
func grantIt(w http.ResponseWriter, seconds int) {
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":%d}`,
		password, seconds)
}

// at is a keychain for a host by this service.
func (s *sts) at(host string) *Exchange {
	return &Exchange{
		Host: host, URL: s.url, Audience: audience, Username: "acme", Scope: "https://www.googleapis.com/auth/cloud-platform",
		Token: func(_ context.Context, of string) (string, error) {
			if of != audience {
				return "", fmt.Errorf("asked for a token of %s", of)
			}
			return jwt, nil
		},
	}
}

func registryOf(t *testing.T, host string) name.Registry {
	t.Helper()
	r, err := name.NewRegistry(host)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// loginOf resolves as a registry's client does.
func loginOf(t *testing.T, e *Exchange) error {
	t.Helper()
	_, err := authn.Resolve(t.Context(), e, registryOf(t, e.Host))
	return err
}

// A registry that wants a password is pushed to with one that nobody keeps.
func TestExchangeOpensTheRegistry(t *testing.T) {
	for kind, wants := range map[string]func(http.Handler) http.Handler{"basic": wantsBasic, "token": wantsToken} {
		t.Run(kind, func(t *testing.T) {
			host, service := serve(t, wants), newSTS(t, nil)
			e := service.at(host)
			var hidden []string
			e.Hide = func(secret string) { hidden = append(hidden, secret) }
			c := impatient()
			c.Keychain = authn.NewMultiKeychain(e)
			image, _, err := c.Push(t.Context(), packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Verify(t.Context(), image); err != nil {
				t.Error(err)
			}
			want := []url.Values{{
				"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
				"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
				"subject_token_type":   {"urn:ietf:params:oauth:token-type:jwt"},
				"subject_token":        {jwt},
				"audience":             {audience},
				"scope":                {"https://www.googleapis.com/auth/cloud-platform"},
			}}
			if diff := cmp.Diff(want, service.asked); diff != "" {
				t.Errorf("the service was asked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{password}, hidden); diff != "" {
				t.Errorf("hidden (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExchangeIsForOneRegistry(t *testing.T) {
	service := newSTS(t, nil)
	got, err := service.at("europe-docker.pkg.dev").Resolve(registryOf(t, "ghcr.io"))
	if err != nil || got != authn.Anonymous || service.times() != 0 {
		t.Errorf("got %v, %v; the service was asked %d times", got, err, service.times())
	}
}

func TestExchangeIsAskedOnceByMany(t *testing.T) {
	service := newSTS(t, nil)
	e := service.at("europe-docker.pkg.dev")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := loginOf(t, e); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if service.times() != 1 {
		t.Errorf("the service was asked %d times", service.times())
	}
}

func TestPasswordIsRenewedBeforeItRunsOut(t *testing.T) {
	for _, c := range []struct {
		answer string
		after  time.Duration
		asked  int
	}{
		{`"expires_in":3600`, 54 * time.Minute, 1},
		{`"expires_in":3600`, 56 * time.Minute, 2},
		{`"expires_in":"3600"`, 54 * time.Minute, 1},
		{`"expires_in":3599.5`, 54 * time.Minute, 1},
		{`"expires_in":60`, 29 * time.Second, 1},
		{`"expires_in":60`, 31 * time.Second, 2},
		{`"expires_in":1e300`, 23 * time.Hour, 1},
		{`"expires_in":1e300`, 25 * time.Hour, 2},
		{`"expires_in":0`, 0, 2},
		{`"expires_in":-5`, 0, 2},
		{`"token_type":"Bearer"`, 0, 2},
	} {
		t.Run(c.answer+" after "+c.after.String(), func(t *testing.T) {
			service := newSTS(t, func(w http.ResponseWriter, _ int) {
				_, _ = fmt.Fprintf(w, `{"access_token":"p",%s}`, c.answer)
			})
			e, now := service.at("europe-docker.pkg.dev"), time.Unix(1_700_000_000, 0)
			e.now = func() time.Time { return now }
			for range 2 {
				if err := loginOf(t, e); err != nil {
					t.Fatal(err)
				}
				now = now.Add(c.after)
			}
			if service.times() != c.asked {
				t.Errorf("asked %d times, not %d", service.times(), c.asked)
			}
		})
	}
}

func TestExchangeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		body       string
		says, hint string
		passes     bool
	}{
		"not trusted": {
			http.StatusBadRequest, `{"error":"invalid_grant","error_description":"The token ` + jwt + `\nis not accepted."}`,
			"the answer was 400: invalid_grant The token *** is not accepted.", "token.actions.githubusercontent.com", false,
		},
		"audience":     {http.StatusBadRequest, `{"error":"invalid_target"}`, "the answer was 400: invalid_target", "check login.audience: " + audience, false},
		"scope":        {http.StatusBadRequest, `{"error":"invalid_scope"}`, "the answer was 400: invalid_scope", "check login.scope: https://", false},
		"nothing said": {http.StatusUnauthorized, ``, "the answer was 401", "check login.audience", false},
		"elsewhere":    {http.StatusNotFound, `<html>`, "the answer was 404", "tokens are not exchanged at http://", false},
		"no grant":     {http.StatusOK, `{"token_type":"Bearer"}`, "the answer has no access_token", "check login.exchange", false},
		"no JSON":      {http.StatusOK, `<html>` + jwt, "not that of a token exchange", "check login.exchange", false},
		"not well":     {http.StatusServiceUnavailable, ``, "the answer was 503", "run it again", true},
	} {
		t.Run(name, func(t *testing.T) {
			service := newSTS(t, func(w http.ResponseWriter, _ int) {
				w.WriteHeader(c.status)
				_, _ = fmt.Fprint(w, c.body)
			})
			err := loginOf(t, service.at("europe-docker.pkg.dev"))
			want := "log in to europe-docker.pkg.dev: exchange the token: "
			if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s%s", err, want, c.says)
			}
			if hint := deploy.HintOf(err); !strings.Contains(hint, c.hint) {
				t.Errorf("the hint %q does not say %q", hint, c.hint)
			}
			if all := fmt.Sprintf("%+v %s", err, deploy.HintOf(err)); strings.Contains(all, jwt) {
				t.Errorf("the token is told: %s", all)
			}
			if again := service.times() > 1; again != c.passes {
				t.Errorf("it was asked %d times", service.times())
			}
		})
	}
}

func TestExchangeIsTriedAgain(t *testing.T) {
	service := newSTS(t, func(w http.ResponseWriter, asked int) {
		if asked == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		grantIt(w, 3600)
	})
	if err := loginOf(t, service.at("europe-docker.pkg.dev")); err != nil || service.times() != 2 {
		t.Errorf("%v after %d times", err, service.times())
	}
}

// A redirect would take the token to whoever is named there.
func TestExchangeFollowsNoRedirect(t *testing.T) {
	other := newSTS(t, nil)
	service := newSTS(t, func(w http.ResponseWriter, _ int) {
		w.Header().Set("Location", other.url)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	err := loginOf(t, service.at("europe-docker.pkg.dev"))
	if err == nil || !strings.Contains(deploy.HintOf(err), "not sent on to another address") || other.times() != 0 {
		t.Errorf("got %v, hint %q; the other was asked %d times", err, deploy.HintOf(err), other.times())
	}
}

func TestExchangeIsEncrypted(t *testing.T) {
	for address, says := range map[string]string{
		"http://sts.example.com/token":       "over https alone, and http://sts.example.com/token is not",
		"http://localhost.example.com/token": "over https alone",
		"http://me:pass@sts.example.com/":    "http://me:xxxxx@sts.example.com/ is not",
		"ftp://127.0.0.1/token":              "over https alone",
		"sts.example.com/token":              "is no address",
		"":                                   "is no address",
		"https://%zz":                        "is no address",
	} {
		t.Run(address, func(t *testing.T) {
			e := &Exchange{Host: "ghcr.io", URL: address, Token: func(context.Context, string) (string, error) {
				t.Error("a token was made for it")
				return "", nil
			}}
			if err := loginOf(t, e); !deploy.IsUsage(err) || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want %s", err, says)
			}
		})
	}
}

func TestExchangeWithoutToken(t *testing.T) {
	service := newSTS(t, nil)
	e := service.at("europe-docker.pkg.dev")
	e.Token = func(context.Context, string) (string, error) {
		return "", deploy.Usage("give the job permissions: {id-token: write}", "this job may not have an OIDC token")
	}
	err := loginOf(t, e)
	if !deploy.IsUsage(err) || !strings.Contains(deploy.HintOf(err), "id-token") || service.times() != 0 {
		t.Errorf("got %v, hint %q; the service was asked %d times", err, deploy.HintOf(err), service.times())
	}
	if want := "log in to europe-docker.pkg.dev: this job may not have an OIDC token"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestExchangeEndsWithItsContext(t *testing.T) {
	hung := make(chan struct{})
	service := newSTS(t, func(http.ResponseWriter, int) { <-hung })
	t.Cleanup(func() { close(hung) })
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("timed out after 20ms waiting for the test"))
	defer cancel()
	_, err := authn.Resolve(ctx, service.at("ghcr.io"), registryOf(t, "ghcr.io"))
	if want := "log in to ghcr.io: exchange the token: timed out after 20ms waiting for the test"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Trouble at the service is not told as the registry's own.
func TestClientTellsTheServiceFromTheRegistry(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	host, service := serve(t, wantsBasic), newSTS(t, nil)
	e := service.at(host)
	e.URL = gone.URL + "/v1/token"
	c := impatient()
	c.Keychain = e
	_, err := c.Resolve(t.Context(), host+"/acme/hello", "1.0.0")
	if err == nil || !strings.Contains(err.Error(), "log in to "+host+": exchange the token: ") || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
	if hint := deploy.HintOf(err); !strings.Contains(hint, "check login.exchange") || !strings.Contains(hint, e.URL) {
		t.Errorf("the hint %q leads elsewhere", hint)
	}
	var login *LoginError
	if !errors.As(err, &login) || login.Host != host {
		t.Errorf("%v is no LoginError of %s", err, host)
	}
}
