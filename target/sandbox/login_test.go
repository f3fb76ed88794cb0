package sandbox_test

import (
	"context"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
	"github.com/slipway-ci/slipway/target/targettest"
)

// locked is a registry that wants a password.
func locked(t *testing.T) (host string) {
	t.Helper()
	inside := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ada" || password != "open sesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inside.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// An image that is not everybody's is pulled with what the client has for its
// registry, which stands nowhere on the disk.
func TestAPrivateImageIsPulledWithTheClientsLogin(t *testing.T) {
	host := locked(t)
	img := targettest.Image(t, "-name", "1.0.0")
	ref, err := name.ParseReference(host + "/acme/hello:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: "ada", Password: "open sesame"})); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	env := deploy.Environment{Name: "production", Service: deploy.Service{Port: 8080, Replicas: 1, StartTimeout: time.Minute}}
	r := deploy.NewRevision("hello", env, deploy.Image{Repository: host + "/acme/hello", Digest: digest.String(), Version: "1.0.0"}, nil)

	b := up(t)
	if err := b.Target("hello", env).Start(b.limited(), r); err == nil {
		t.Fatal("it was pulled without a login")
	}
	if err := b.Target("hello", env).Stop(b.limited(), r); err != nil {
		t.Fatal(err)
	}
	config := b.config
	config.Login = func(_ context.Context, asked string) (string, string, error) {
		if asked != host {
			t.Errorf("asked for %s, not %s", asked, host)
		}
		return "ada", "open sesame", nil
	}
	client, err := sandbox.Connect(b.limited(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Target("hello", env).Start(b.limited(), r); err != nil {
		t.Fatal(err)
	}
	unsaid(t, b.config.Home, "open sesame")
}

// unsaid demands that no file below a folder holds the text.
func unsaid(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			t.Errorf("%s holds it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
