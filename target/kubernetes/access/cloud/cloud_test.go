package cloud

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/deploy"
)

func TestPrograms(t *testing.T) {
	for line, want := range map[string]string{
		"aws --region eu-central-1 eks get-token --cluster-name shop --output json":             "the AWS SDK",
		"/usr/local/bin/aws-iam-authenticator token -i shop":                                    "the AWS SDK",
		"aws sts get-caller-identity":                                                           "",
		"gke-gcloud-auth-plugin":                                                                "Google's library",
		"gke-gcloud-auth-plugin.exe":                                                            "Google's library",
		"kubelogin get-token --login azurecli --server-id 6dae42f8-4368-4678-94ff-3960e28e3630": "the Azure SDK",
		// Another program of the same name, for any OIDC provider.
		"kubelogin get-token --oidc-issuer-url=https://example.com": "",
		"our-own-login --cluster-name shop":                         "",
	} {
		words := strings.Fields(line)
		got := ""
		if login := For(&api.ExecConfig{Command: words[0], Args: words[1:]}, "https://127.0.0.1"); login != nil {
			got = login.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// without leaves this process nothing of any cloud.
func without(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		for _, prefix := range []string{"AWS_", "AZURE_", "GOOGLE_", "IDENTITY_", "MSI_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "")
				_ = os.Unsetenv(name)
			}
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("PATH", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestAmazonWithoutCredentials(t *testing.T) {
	without(t)
	login := For(&api.ExecConfig{Command: "aws", Args: []string{"eks", "get-token", "--cluster-name", "shop", "--region", "eu-central-1"}}, "")
	_, err := login.Token()
	if err == nil || !strings.Contains(err.Error(), "no credentials") || !strings.Contains(deploy.HintOf(err), "configure-aws-credentials") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	for says, args := range map[string][]string{"--cluster-name": {"eks", "get-token"}, "AWS_REGION": {"eks", "get-token", "--cluster-name=shop"}} {
		if _, err := For(&api.ExecConfig{Command: "aws", Args: args}, "https://127.0.0.1").Token(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
}

// A token is what EKS takes it for: its address asks STS in the cluster's region who
// signed it, for this cluster alone, and the signature is right.
func TestAmazon(t *testing.T) {
	without(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
	t.Setenv("AWS_SESSION_TOKEN", "of the session")
	program := &api.ExecConfig{Command: "aws", Args: []string{"eks", "get-token", "--cluster-name", "shop"}}
	for region, login := range map[string]*Login{
		"eu-central-1": For(program, "https://0123.gr7.eu-central-1.eks.amazonaws.com"),
		"us-east-2": For(&api.ExecConfig{
			Command: "aws", Args: append([]string{"--region", "us-east-2"}, program.Args...), Env: []api.ExecEnvVar{{Name: "AWS_REGION", Value: "eu-west-1"}},
		}, "https://0123.gr7.eu-central-1.eks.amazonaws.com"),
	} {
		token, err := login.Token()
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(token.Expiry); left < 10*time.Minute || left > 15*time.Minute {
			t.Errorf("it lasts for %s", left)
		}
		encoded, ours := strings.CutPrefix(token.AccessToken, "k8s-aws-v1.")
		plain, err := base64.RawURLEncoding.DecodeString(encoded)
		if !ours || err != nil {
			t.Fatalf("the token is %q: %v", token.AccessToken, err)
		}
		signed(t, string(plain), region)
	}
}

// signed recomputes the signature of an address.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
func signed(t *testing.T, address, region string) {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := at.Query()
	if at.Scheme != "https" || at.Host != "sts."+region+".amazonaws.com" || q.Get("Action") != "GetCallerIdentity" || q.Get("X-Amz-Expires") != "60" ||
		q.Get("X-Amz-SignedHeaders") != "host;x-k8s-aws-id" || q.Get("X-Amz-Security-Token") != "of the session" {
		t.Errorf("the address is %s", address)
	}
	given := q.Get("X-Amz-Signature")
	q.Del("X-Amz-Signature")
	nothing := sha256.Sum256(nil)
	canonical := strings.Join([]string{
		"GET", "/", strings.ReplaceAll(q.Encode(), "+", "%20"), "host:" + at.Host, "x-k8s-aws-id:shop", "", "host;x-k8s-aws-id", hex.EncodeToString(nothing[:]),
	}, "\n")
	day := q.Get("X-Amz-Date")[:8]
	hashed := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", q.Get("X-Amz-Date"), day + "/" + region + "/sts/aws4_request", hex.EncodeToString(hashed[:])}, "\n")
	key := []byte("AWS4wJalrXUtnFEMI")
	for _, part := range []string{day, region, "sts", "aws4_request", text} {
		sum := hmac.New(sha256.New, key)
		_, _ = sum.Write([]byte(part))
		key = sum.Sum(nil)
	}
	if want := hex.EncodeToString(key); given != want {
		t.Errorf("the signature is %s, not %s, of\n%s", given, want, canonical)
	}
}

// A role is taken on first, and it signs.
func TestAmazonByARole(t *testing.T) {
	without(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRole" || r.FormValue("RoleArn") != "arn:aws:iam::123456789012:role/deployer" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>`+
			`<SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
	token, err := For(&api.ExecConfig{Command: "aws", Args: []string{
		"eks", "get-token", "--cluster-name", "shop", "--region", "eu-central-1", "--role-arn", "arn:aws:iam::123456789012:role/deployer",
	}}, "").Token()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token.AccessToken, amazonPrefix))
	if err != nil || !strings.Contains(string(plain), "X-Amz-Credential=AKIDROLE%2F") {
		t.Errorf("signed is %s, %v", plain, err)
	}
}

func TestGoogle(t *testing.T) {
	without(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.FormValue("assertion") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"access_token":"token-of-google","token_type":"Bearer","expires_in":3600}`)
	}))
	defer server.Close()
	content, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "deployer@acme.iam.gserviceaccount.com", "private_key_id": "1", "token_uri": server.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
	token, err := For(&api.ExecConfig{Command: "gke-gcloud-auth-plugin"}, "").Token()
	if err != nil || token.AccessToken != "token-of-google" || time.Until(token.Expiry) < 30*time.Minute {
		t.Errorf("got %v, %v", token, err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path+"-not")
	if _, err = For(&api.ExecConfig{Command: "gke-gcloud-auth-plugin"}, "").Token(); err == nil || !strings.Contains(deploy.HintOf(err), "google-github-actions/auth") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}

// entra answers as Entra ID does.
type entra struct {
	asked  url.Values
	status int
}

func (e *entra) Do(r *http.Request) (*http.Response, error) {
	answer, status := `{}`, http.StatusOK
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		base := "https://login.microsoftonline.com/" + strings.Split(r.URL.Path, "/")[1]
		answer = fmt.Sprintf(`{"token_endpoint":"%s/oauth2/v2.0/token","authorization_endpoint":"%s/oauth2/v2.0/authorize","issuer":"%s/v2.0"}`, base, base, base)
	case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if e.asked, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		if answer, status = `{"access_token":"token-of-entra","token_type":"Bearer","expires_in":3600}`, e.status; status != http.StatusOK {
			answer = `{"error":"invalid_client","error_description":"what-it-says"}`
		}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

func TestMicrosoft(t *testing.T) {
	without(t)
	t.Setenv("AZURE_TENANT_ID", "72f988bf-86f1-41af-91ab-2d7cd011db47")
	t.Setenv("AZURE_CLIENT_ID", "11111111-86f1-41af-91ab-2d7cd011db47")
	t.Setenv("AZURE_CLIENT_SECRET", "secret-of-azure")
	directory := &entra{status: http.StatusOK}
	login := microsoftWith(&api.ExecConfig{Command: "kubelogin", Args: []string{"get-token", "--server-id", microsoftServer}},
		&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: directory}, DisableInstanceDiscovery: true})
	token, err := login.Token()
	if err != nil || token.AccessToken != "token-of-entra" || time.Until(token.Expiry) < 30*time.Minute {
		t.Fatalf("got %v, %v", token, err)
	}
	if scope := directory.asked.Get("scope"); !strings.Contains(scope, microsoftServer+"/.default") {
		t.Errorf("asked for %q", scope)
	}
	directory.status = http.StatusUnauthorized
	if _, err := login.Token(); err == nil || !strings.Contains(err.Error(), "refused by Entra ID") || strings.Contains(err.Error(), "secret-of-azure") ||
		!strings.Contains(deploy.HintOf(err), "azure/login") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}
