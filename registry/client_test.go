package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-ci/slipway/deploy"
)

// account is a keychain with one account, for one registry.
type account struct {
	host, user, password string
}

// Resolve implements authn.Keychain.
func (a account) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != a.host {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: a.user, Password: a.password}, nil
}

const password = "hunter2-hunter2"

// wantsBasic lets one account in.
func wantsBasic(next http.Handler) http.Handler {
	return intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if user, given, _ := r.BasicAuth(); user == "acme" && given == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}`)
		return true
	})(next)
}

// wantsToken lets in who has fetched a token with the account.
func wantsToken(next http.Handler) http.Handler {
	return intercept(func(w http.ResponseWriter, r *http.Request) bool {
		scope, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token for ")
		user, given, _ := r.BasicAuth()
		switch {
		case ok && (r.Method == http.MethodGet || r.Method == http.MethodHead || strings.Contains(scope, "push")):
			return false
		case r.URL.Path == "/token" && user == "acme" && given == password:
			_ = json.NewEncoder(w).Encode(map[string]string{"token": "token for " + r.FormValue("scope")})
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		return true
	})(next)
}

func TestLogin(t *testing.T) {
	for name, wants := range map[string]func(http.Handler) http.Handler{"basic": wantsBasic, "token": wantsToken} {
		t.Run(name, func(t *testing.T) {
			host := serve(t, wants)
			push := func(user, secret string) error {
				c := impatient()
				c.Keychain = account{host, user, secret}
				p := packWith(t, c, webSpec(folderOf(t, web)))
				image, _, err := c.Push(t.Context(), p, host+"/acme/hello", "1.4.2")
				if err != nil {
					return err
				}
				return c.Verify(t.Context(), image)
			}
			if err := push("acme", password); err != nil {
				t.Error(err)
			}
			err := push("acme", password+"!")
			if err == nil || !strings.Contains(err.Error(), host+" wants a login") || !strings.Contains(deploy.HintOf(err), "docker login "+host) {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
			if all := fmt.Sprintf("%+v %#v %s", err, err, deploy.HintOf(err)); strings.Contains(all, password) {
				t.Errorf("the password is told: %s", all)
			}
			if err := push("", ""); err == nil || !strings.Contains(err.Error(), "wants a login") {
				t.Errorf("anonymously: %v", err)
			}
		})
	}
}

// A workflow on GitHub is told what GitHub wants to be given.
func TestHintsForGitHub(t *testing.T) {
	for status, hint := range map[int]string{
		http.StatusUnauthorized: "in a workflow with the job's GITHUB_TOKEN and permissions: {packages: write}",
		http.StatusForbidden:    "give the job permissions: {packages: write}",
	} {
		c := impatient()
		c.Transport = answers(status)
		_, err := c.Resolve(t.Context(), "ghcr.io/acme/hello", "1.0.0")
		if err == nil || !strings.Contains(deploy.HintOf(err), hint) {
			t.Errorf("%v: the hint %q does not say %q", err, deploy.HintOf(err), hint)
		}
	}
}

// answers stands for a registry that is elsewhere.
type answers int

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.URL.Path == "/v2/" {
		w.WriteHeader(http.StatusOK)
	} else {
		w.WriteHeader(int(a))
	}
	res := w.Result()
	res.Request = r
	return res, nil
}

// fails stands for a way on which nothing arrives.
type fails struct{ err error }

// RoundTrip implements http.RoundTripper.
func (f fails) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestNoWayToTheRegistry(t *testing.T) {
	for name, test := range map[string]struct {
		err         error
		says, hints string
	}{
		"no such host": {
			&net.DNSError{Err: "no such host", Name: "ghcr.oi", IsNotFound: true},
			"find ghcr.oi/acme/hello:1.0.0: there is no host ghcr.oi (no such host)", "check the name in image",
		},
		"http only": {
			&url.Error{Op: "Get", URL: "https://ghcr.oi/v2/", Err: http.ErrSchemeMismatch},
			"ghcr.oi does not speak https, and plain http is for registries on this machine only", "certificate",
		},
		"something else": {errors.New("strange"), "find ghcr.oi/acme/hello:1.0.0: ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := impatient()
			c.Transport = fails{test.err}
			_, err := c.Resolve(t.Context(), "ghcr.oi/acme/hello", "1.0.0")
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(deploy.HintOf(err), test.hints) {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
			if !errors.Is(err, test.err) {
				t.Errorf("%v has lost its cause", err)
			}
		})
	}
}

// Nothing goes to others unencrypted: neither images nor logins.
func TestNoPlainHTTPElsewhere(t *testing.T) {
	var asked atomic.Int32
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusOK)
	}))
	defer outside.Close()
	all := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, "auth.example.com:") {
			addr = outside.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	defer all.CloseIdleConnections()
	host := serve(t, intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://auth.example.com/token",service="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}))
	c := impatient()
	c.Transport, c.Keychain = all, account{host, "acme", password}
	_, err := c.Resolve(t.Context(), host+"/acme/hello", "1.0.0")
	if !errors.Is(err, errPlain) || !strings.Contains(err.Error(), "plain http is for registries on this machine only") {
		t.Errorf("got %v", err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests went out unencrypted", n)
	}
}

func TestEncryptedRegistry(t *testing.T) {
	s := httptest.NewUnstartedServer(newRegistry())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail, as they should
	s.StartTLS()
	defer s.Close()
	repository := strings.TrimPrefix(s.URL, "https://") + "/acme/hello"

	c := impatient()
	c.Transport = s.Client().Transport
	image, sent, err := c.Push(t.Context(), packWith(t, c, webSpec(folderOf(t, web))), repository, "1.4.2")
	if err != nil || !sent {
		t.Fatalf("sent %v, %v", sent, err)
	}
	if err := c.Verify(t.Context(), image); err != nil {
		t.Error(err)
	}

	_, err = impatient().Resolve(t.Context(), repository, "1.4.2")
	if err == nil || !strings.Contains(err.Error(), "is not trusted (x509: certificate signed by unknown authority)") || !strings.Contains(deploy.HintOf(err), "SSL_CERT_FILE") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1": true, "127.9.9.9:80": true, "[::1]:5000": true,
		"ghcr.io": false, "10.0.0.1:5000": false, "localhost.example.com": false, "127.0.0.1.example.com": false,
		"[2001:db8::1]:5000": false, "0.0.0.0:5000": false, "": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
