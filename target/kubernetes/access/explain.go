package access

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/access/cloud"
)

// String names the cluster for people: "https://10.0.0.1:6443 (context staging)".
func (c *Cluster) String() string {
	if c.Context == "" {
		return c.Config.Host
	}
	return fmt.Sprintf("%s (context %s)", c.Config.Host, c.Context)
}

// Explain adds to an error of a client what a person needs: which cluster did not
// answer, why a login was refused, which permission is missing. Every other error,
// and nil, comes back as it is; what was explained already is not explained again.
func (c *Cluster) Explain(err error) error {
	if _, ok := errors.AsType[*deploy.Fault](err); err == nil || ok {
		return err
	}
	switch {
	case apierrors.IsUnauthorized(err):
		return deploy.Hinted(fmt.Errorf("the cluster %s refuses the login%s", c, c.ranOut(time.Now())), "%s", c.renewal())
	case apierrors.IsForbidden(err):
		return deploy.Hinted(err, "what Slipway needs, as a Role to apply: docs/kubernetes-rbac.md")
	case pluginFailed(err):
		return deploy.Hinted(fmt.Errorf("log in to the cluster %s: %w", c, err), "run it by hand to see what is wrong: %s", c.plugin())
	case unreachable(err):
		return deploy.Hinted(fmt.Errorf("the cluster %s cannot be reached: %w", c, cause(err)),
			"the address is from %s; check that this machine can reach it (VPN, firewall, allowed addresses of the cluster) and that the context is the one you mean", c.way.source)
	}
	return err
}

// unreachable are errors of the way, not of the server.
func unreachable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	return broken(err)
}

// cause leaves out the address, which was said already.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		if _, ok := err.(*net.OpError); ok { //nolint:errorlint // the outermost that says what was tried
			return err
		}
		err = inner
	}
}

// pluginFailed are errors of a program that logs in.
func pluginFailed(err error) bool { return strings.Contains(err.Error(), "getting credentials: ") }

// plugin is the command line of the program that logs in.
func (c *Cluster) plugin() string {
	if c.way.login == nil || c.way.login.Exec == nil {
		return ""
	}
	return strings.Join(append([]string{c.way.login.Exec.Command}, c.way.login.Exec.Args...), " ")
}

// renewal says how one gets a login that the cluster takes.
func (c *Cluster) renewal() string {
	switch {
	case c.way.login == nil:
		return "the token of this pod's service account is refused: does the account still exist?"
	case c.way.cloud != "":
		return "the login is by " + c.way.cloud + "; check that this identity is allowed in the cluster"
	case c.way.login.Exec != nil:
		return "the login is by: " + c.plugin() + "; check whom it logs in"
	case c.way.login.Token != "" || c.way.login.TokenFile != "":
		return "the kubeconfig holds a fixed token; make a new one (kubectl create token ACCOUNT --duration 24h), or log in by OIDC, which needs none"
	case len(c.way.login.ClientCertificateData) > 0 || c.way.login.ClientCertificate != "":
		return "the kubeconfig holds a client certificate that the cluster does not take; it may have run out"
	}
	return "the kubeconfig's context has no login; check its user in " + c.way.source
}

// ranOut says since when a token is over, where it says so itself. Its signature
// is not checked: the server did.
func (c *Cluster) ranOut(now time.Time) string {
	if c.way.login == nil {
		return ""
	}
	parts := strings.Split(c.way.login.Token, ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	plain, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(plain, &claims) != nil || claims.Expires == 0 {
		return ""
	}
	end := time.Unix(claims.Expires, 0)
	if now.Before(end) {
		return ""
	}
	return ": its token ran out at " + end.UTC().Format(time.RFC3339)
}

// stands holds how a context logs in against the programs of this machine. Where
// the one that it names is missing, a cloud's library may stand in for it, and else
// that is an error.
func stands(login *api.AuthInfo, context, source, server string) (*cloud.Login, error) {
	if login == nil || login.Exec == nil {
		return nil, nil
	}
	if _, err := exec.LookPath(login.Exec.Command); err == nil {
		return nil, nil
	}
	if instead := cloud.For(login.Exec, server); instead != nil {
		return instead, nil
	}
	hint := "install it on the runner, or give a kubeconfig that logs in without it"
	if login.Exec.InstallHint != "" {
		hint = strings.TrimSpace(login.Exec.InstallHint)
	}
	return nil, deploy.Usage(hint, "context %q of %s logs in by the program %q, which is not on this machine", context, source, filepath.Base(login.Exec.Command))
}
