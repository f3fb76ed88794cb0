package registry

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The registries that others run: their programs are looked for under these
// names, or where a variable says they are. SLIPWAY_REQUIRE_REGISTRIES=1 makes it
// a failure that one is missing, as in .ci/run.
var programs = []struct{ name, command, variable string }{
	{"docker-registry 2.8", "docker-registry", "DOCKER_REGISTRY"},
	{"distribution 3", "registry", "DISTRIBUTION"},
}

// logins are the ways in which a real registry lets somebody in.
var logins = []string{"open", "basic", "token"}

// real runs a test against every real registry that is there, by each of the
// logins.
func real(t *testing.T, logins []string, test func(t *testing.T, r *realRegistry)) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			program := os.Getenv(p.variable)
			if program == "" {
				program, _ = exec.LookPath(p.command)
			}
			if program == "" {
				absent(t, "SLIPWAY_REQUIRE_REGISTRIES", "%s is not here: install it as %s, or name it in %s", p.name, p.command, p.variable)
			}
			for _, login := range logins {
				t.Run(login, func(t *testing.T) { test(t, startReal(t, program, login)) })
			}
		})
	}
}

// realRegistry is a process that is one.
type realRegistry struct {
	host string
	// keychain opens it, refused does not; both are nil where it is open.
	account account
	login   string
}

// client is one that is logged in.
func (r *realRegistry) client() *Client {
	c := impatient()
	if r.login != "open" {
		c.Keychain = r.account
	}
	return c
}

// startReal starts a registry that can delete, with a folder of its own, and ends
// it with the test. A port that somebody else takes meanwhile is not used again.
func startReal(t *testing.T, program, login string) *realRegistry {
	t.Helper()
	dir := t.TempDir()
	auth := authFor(t, dir, login)
	var said string
	for range 5 {
		host := freeAddress(t)
		config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
			"storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}, maintenance: {uploadpurging: {enabled: false}}}\nhttp: {addr: %q}\n%s",
			filepath.Join(dir, "data"), host, auth)
		path := filepath.Join(dir, "config.yml")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if said = runReal(t, program, path, host); said == "" {
			return &realRegistry{host: host, account: account{host, "acme", password}, login: login}
		}
	}
	t.Fatalf("%s does not start: %s", program, said)
	return nil
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// runReal starts the process and waits until it answers. Where it ends instead,
// it gives what it said.
func runReal(t *testing.T, program, config, host string) string {
	t.Helper()
	var out output
	cmd := exec.Command(program, "serve", config)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none") // it would send them to whoever listens
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if answersAt(t, host) {
			return ""
		}
		select {
		case <-ended:
			return out.String()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "it did not answer within a minute: " + out.String()
}

func answersAt(t *testing.T, host string) bool {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.Header.Get("Docker-Distribution-Api-Version") != ""
}

// output is what a process says, while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// authFor is the part of a registry's configuration that is about its login.
func authFor(t *testing.T, dir, login string) string {
	t.Helper()
	switch login {
	case "basic":
		hash := must(bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost))
		path := filepath.Join(dir, "htpasswd")
		write(t, path, "acme:"+string(hash)+"\n")
		return "auth: {htpasswd: {realm: registry, path: " + path + "}}\n"
	case "token":
		issuer := newIssuer(t)
		path := filepath.Join(dir, "issuer.pem")
		write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.certificate})))
		return fmt.Sprintf("auth: {token: {realm: %q, service: registry, issuer: %s, rootcertbundle: %s}}\n", issuer.url, issuerName, path)
	}
	return ""
}

const issuerName = "tokens-of-the-test"

// issuer gives tokens for a registry to who has the account: what the
// distribution project describes as token authentication.
type issuer struct {
	key         *rsa.PrivateKey
	certificate []byte
	url         string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	i := &issuer{key: key, certificate: must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	// By its name: clients go to no address of a network that a registry names.
	i.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/token"
	return i
}

// ServeHTTP implements http.Handler.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, given, _ := r.BasicAuth(); user != "acme" || given != password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	granted := []access{}
	for _, scope := range r.URL.Query()["scope"] {
		if parts := strings.Split(scope, ":"); len(parts) == 3 {
			granted = append(granted, access{parts[0], parts[1], strings.Split(parts[2], ",")})
		}
	}
	now := time.Now()
	_ = json.NewEncoder(w).Encode(map[string]string{"token": i.sign(map[string]any{
		"iss": issuerName, "sub": "acme", "aud": r.URL.Query().Get("service"), "jti": "1", "access": granted,
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
	})})
}

// sign makes a JSON Web Token (RFC 7519) of claims.
func (i *issuer) sign(claims any) string {
	header := map[string]any{"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(i.certificate)}}
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))) }
	text := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	signature := must(rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:]))
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// shortly bounds what a test waits for.
func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
