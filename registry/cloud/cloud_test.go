package cloud

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	amazonRegistry    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	microsoftRegistry = "acme.azurecr.io"
	googleRegistry    = "europe-docker.pkg.dev"
)

func served(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func account(t *testing.T, k *Keychain, host string) authn.AuthConfig {
	t.Helper()
	found, err := k.Resolve(registryOf(host))
	if err != nil {
		t.Fatal(err)
	}
	config, err := found.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return *config
}

// Whoever is not asked cannot make anybody wait.
func TestOthersAreAnonymous(t *testing.T) {
	k := &Keychain{Own: func(host string) bool { return host == "eu.gcr.io" }}
	for host, want := range map[string]bool{
		"ghcr.io": false, "index.docker.io": false, "127.0.0.1:5000": false, "gcr.io": false, "public.ecr.aws": false,
		"azurecr.io.example.com": false, "1.dkr.ecr.eu-central-1.amazonaws.com": false, "pkg.dev": false,
		"eu.gcr.io": true, googleRegistry: true, amazonRegistry: true, microsoftRegistry: true,
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": true, "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn": true,
		"123456789012.dkr-ecr.us-west-2.on.aws": true,
	} {
		if got := k.provider(host) != nil; got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
	if got := account(t, k, "ghcr.io"); got != (authn.AuthConfig{}) {
		t.Errorf("got %+v", got)
	}
}

// withoutAmazon leaves this process nothing of that cloud.
func withoutAmazon(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestAmazon(t *testing.T) {
	withoutAmazon(t)
	asked := 0
	t.Setenv("AWS_ENDPOINT_URL_ECR", served(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		body, _ := io.ReadAll(r.Body)
		signed := strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/") && strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/ecr/")
		if r.Header.Get("X-Amz-Target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" || !signed ||
			string(body) != `{"registryIds":["123456789012"]}` {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		token := base64.StdEncoding.EncodeToString([]byte("AWS:password-of-amazon"))
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d,"proxyEndpoint":"https://%s"}]}`,
			token, time.Now().Add(12*time.Hour).Unix(), amazonRegistry)
	}))
	now := time.Now()
	k := &Keychain{now: func() time.Time { return now }}

	if got := account(t, k, amazonRegistry); got != (authn.AuthConfig{}) || asked != 0 {
		t.Errorf("without credentials: %+v, asked %d times", got, asked)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
	k = &Keychain{now: k.now}
	for range 2 {
		if got := account(t, k, amazonRegistry); got.Username != "AWS" || got.Password != "password-of-amazon" {
			t.Errorf("got %+v", got)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	now = now.Add(11*time.Hour + 56*time.Minute)
	if _ = account(t, k, amazonRegistry); asked != 2 {
		t.Errorf("asked %d times when it is about to run out", asked)
	}
	entries, err := os.ReadDir(os.Getenv("HOME"))
	if err != nil || len(entries) > 0 {
		t.Errorf("something was written: %v, %v", entries, err)
	}
}

func TestAmazonRefuses(t *testing.T) {
	withoutAmazon(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
	t.Setenv("AWS_ENDPOINT_URL_ECR", served(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`)
	}))
	_, err := new(Keychain).Resolve(registryOf(amazonRegistry))
	if err == nil || !strings.Contains(err.Error(), "log in to "+amazonRegistry) || !strings.Contains(err.Error(), "security token") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(deploy.HintOf(err), "docker login "+amazonRegistry) || strings.Contains(err.Error(), "wJalrXUtnFEMI") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}

func TestMicrosoftExchange(t *testing.T) {
	status, answer := http.StatusOK, `{"refresh_token":"token-of-the-registry"}`
	at := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oauth2/exchange" || r.FormValue("grant_type") != "access_token" || r.FormValue("service") != microsoftRegistry ||
			r.FormValue("access_token") != "token-of-entra" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Location", "https://example.com/")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, answer)
	})
	k := &Keychain{}
	exchange := func() (credential, error) {
		return k.exchange(t.Context(), at, microsoftRegistry, azcore.AccessToken{Token: "token-of-entra"})
	}
	got, err := exchange()
	if err != nil {
		t.Fatal(err)
	}
	config, err := got.account.Authorization()
	if err != nil || config.Username != microsoftUser || config.Password != "token-of-the-registry" {
		t.Errorf("got %+v, %v", config, err)
	}
	for _, wrong := range []struct {
		status       int
		answer, says string
	}{
		{http.StatusUnauthorized, "", "the registry answered 401"},
		{http.StatusTemporaryRedirect, "", "the registry answered 307"},
		{http.StatusOK, "<html>", "has no token"},
		{http.StatusOK, "{}", "has no token"},
	} {
		status, answer = wrong.status, wrong.answer
		if _, err := exchange(); err == nil || !strings.Contains(err.Error(), wrong.says) || strings.Contains(err.Error(), "token-of-entra") {
			t.Errorf("got %v, want %q", err, wrong.says)
		}
	}
}

// The key of a service account, as google-github-actions/auth leaves one.
func TestGoogle(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "deployer@acme.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})),
		"token_uri": served(t, func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.FormValue("assertion") == "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"access_token":"token-of-google","token_type":"Bearer","expires_in":3600}`)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
	if got := account(t, new(Keychain), googleRegistry); got.Password != "token-of-google" {
		t.Errorf("got %+v", got)
	}
}
