package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	jobKey   = "key-of-the-job"
	idToken  = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZXBvOmFjbWUvaGVsbG8ifQ.c2ln"
	password = "password-for-an-hour"
)

// locked is a registry that takes one account, with the two services that give
// a job its password: GitHub's for tokens, and one that exchanges them.
type locked struct {
	registry, issuer, exchange *httptest.Server
	// exchanged are the tokens that came.
	exchanged []string
}

func newLocked(t *testing.T) *locked {
	t.Helper()
	l := &locked{}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	l.registry = served(t, func(w http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); user != deploy.DefaultLoginUser || given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
	l.issuer = served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+jobKey || r.FormValue("audience") != "acme" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"value":%q}`, idToken)
	})
	l.exchange = served(t, func(w http.ResponseWriter, r *http.Request) {
		l.exchanged = append(l.exchanged, r.FormValue("subject_token"))
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600}`, password)
	})
	return l
}

func served(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (l *locked) host() string { return strings.TrimPrefix(l.registry.URL, "http://") }

// push builds an image and pushes it, in this process, and gives exit code and
// all that was printed.
func (l *locked) push(t *testing.T, env map[string]string) (code int, out string) {
	t.Helper()
	dir := t.TempDir()
	file := "app: hello\n"
	if l.host() != "" {
		file += "image: " + l.host() + "/acme/hello\n"
	}
	if l.host() != "" && l.exchange != nil {
		file += "login: {exchange: " + l.exchange.URL + ", audience: acme}\n"
	}
	file += "build: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}\nenvironments: {production: {target: sandbox}}\n"

	for name, content := range map[string]string{"slipway.yaml": file, "hello": "hello\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var printed bytes.Buffer
	c := &CLI{
		Stdin: strings.NewReader(""), Stdout: &printed, Stderr: &printed,
		Getenv: func(name string) string { return env[name] },
	}
	code = c.Main(t.Context(), []string{"build", "--push", "--version", "1.0.0", "--config", filepath.Join(dir, "slipway.yaml")})
	return code, printed.String()
}

// job is the environment of a job that may have an OIDC token.
func (l *locked) job() map[string]string {
	return map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": os.DevNull, "GITHUB_STEP_SUMMARY": os.DevNull,
		"ACTIONS_ID_TOKEN_REQUEST_URL": l.issuer.URL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": jobKey,
	}
}

// dockerLogin is what docker login leaves, for this process.
func dockerLogin(t *testing.T, host, user, secret string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", filepath.Join(home, ".docker"))
	if host == "" {
		return
	}
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
	content, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".docker", "config.json"), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestJobLogsInByItsToken(t *testing.T) {
	l := newLocked(t)
	dockerLogin(t, l.host(), "somebody", "of-long-ago") // the file goes over it
	code, out := l.push(t, l.job())
	if code != 0 || !strings.Contains(out, "pushed") {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	if len(l.exchanged) != 1 || l.exchanged[0] != idToken {
		t.Errorf("exchanged: %q", l.exchanged)
	}
	for _, secret := range []string{idToken, password} {
		if told := strings.Count(out, "::add-mask::"+secret+"\n"); strings.Count(out, secret) != told || !strings.Contains(out, "::add-mask::"+secret+"\n") {
			t.Errorf("the runner alone has to be told of %s, to hide it:\n%s", secret, out)
		}
	}
	if strings.Contains(out, jobKey) {
		t.Errorf("the job's key is told:\n%s", out)
	}
}

func TestJobWithoutPermissionIsTold(t *testing.T) {
	l := newLocked(t)
	dockerLogin(t, "", "", "")
	env := l.job()
	delete(env, "ACTIONS_ID_TOKEN_REQUEST_URL")
	code, out := l.push(t, env)
	if code != deploy.ExitUsage || !strings.Contains(out, "this job may not have an OIDC token") || !strings.Contains(out, "permissions: {id-token: write}") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// Away from a runner there is no token: what docker login left opens the
// registry, and without it the error says what to do.
func TestLoginByHand(t *testing.T) {
	l := newLocked(t)
	dockerLogin(t, l.host(), deploy.DefaultLoginUser, password)
	if code, out := l.push(t, nil); code != 0 || !strings.Contains(out, "pushed") {
		t.Errorf("after docker login: exit code %d:\n%s", code, out)
	}
	dockerLogin(t, "", "", "")
	code, out := l.push(t, nil)
	if code != deploy.ExitUsage || !strings.Contains(out, "this is no job of GitHub Actions") || !strings.Contains(out, "docker login "+l.host()) {
		t.Errorf("without it: exit code %d:\n%s", code, out)
	}
	if len(l.exchanged) != 0 {
		t.Errorf("exchanged: %q", l.exchanged)
	}
}

// What inputs or variables name opens the registry of the image, before all else,
// and is shown nowhere.
func TestLoginThatIsHandedOver(t *testing.T) {
	for name, onRunner := range map[string]bool{"in a job": true, "by hand": false} {
		t.Run(name, func(t *testing.T) {
			l := newLocked(t)
			dockerLogin(t, l.host(), "somebody", "of-long-ago")
			env := map[string]string{userVariable: deploy.DefaultLoginUser, passwordVariable: password}
			if onRunner {
				for key, value := range l.job() {
					env[key] = value
				}
			}
			code, out := l.push(t, env)
			if code != 0 || !strings.Contains(out, "pushed") || len(l.exchanged) != 0 {
				t.Errorf("exit code %d, exchanged %q:\n%s", code, l.exchanged, out)
			}
			told := strings.Count(out, "::add-mask::"+password+"\n")
			if strings.Count(out, password) != told || onRunner != (told > 0) {
				t.Errorf("the password is shown:\n%s", out)
			}
		})
	}
}

// What docker login left is masked, too.
func TestDockerLoginIsMasked(t *testing.T) {
	l := newLocked(t)
	dockerLogin(t, l.host(), deploy.DefaultLoginUser, password)
	env := l.job()
	delete(env, "ACTIONS_ID_TOKEN_REQUEST_URL")
	delete(env, "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	l.exchange = nil // the file asks for none
	code, out := l.push(t, env)
	if code != 0 || !strings.Contains(out, "::add-mask::"+password+"\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestHalfALogin(t *testing.T) {
	l := newLocked(t)
	for name, env := range map[string]map[string]string{
		"no user":     {passwordVariable: password},
		"no password": {userVariable: "somebody"},
	} {
		code, out := l.push(t, env)
		if code != deploy.ExitUsage || !strings.Contains(out, "one of them is missing") || strings.Contains(out, password) {
			t.Errorf("%s: exit code %d:\n%s", name, code, out)
		}
	}
	l.registry.URL = ""
	if code, out := l.push(t, map[string]string{userVariable: "somebody", passwordVariable: password}); code != deploy.ExitUsage ||
		!strings.Contains(out, "the file names none") {
		t.Errorf("no image: exit code %d:\n%s", code, out)
	}
}
