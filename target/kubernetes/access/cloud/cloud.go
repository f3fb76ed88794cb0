// Package cloud logs in to the Kubernetes clusters of Amazon (EKS), Google (GKE) and
// Microsoft (AKS) where the programs that their kubeconfigs name are not installed,
// with what a machine or a job has for the rest of that cloud, by the clouds' own
// libraries: variables, files, roles, metadata services. Nothing is written anywhere.
package cloud

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/deploy"
)

// patience bounds the wait for a cloud, which may not answer where none is.
const patience = 20 * time.Second

// Login is a way to log in to one cluster. It gives tokens, each asked for anew.
type Login struct {
	// Name is whose library it is, with the cloud: "the AWS SDK".
	Name string
	// hint says what a job does to have credentials.
	hint string
	get  func(ctx context.Context) (*oauth2.Token, error)
}

var _ oauth2.TokenSource = (*Login)(nil)

// Token implements oauth2.TokenSource, within 20 seconds.
func (l *Login) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, fmt.Errorf("timed out after %s", patience))
	defer cancel()
	token, err := l.get(ctx)
	if err != nil {
		return nil, deploy.Hinted(fmt.Errorf("log in by %s: %w", l.Name, err), "%s", l.hint)
	}
	return token, nil
}

// For recognises what the program in a kubeconfig would do, by the name of its
// command and its arguments; nil where it is of no cloud. The server's address helps
// where the arguments leave a region out.
func For(program *api.ExecConfig, server string) *Login {
	switch name := strings.TrimSuffix(filepath.Base(program.Command), ".exe"); {
	case name == "aws" && given(program.Args, "get-token"), (name == "aws-iam-authenticator" || name == "heptio-authenticator-aws") && given(program.Args, "token"):
		return amazon(program, server)
	case name == "gke-gcloud-auth-plugin":
		return google()
	case name == "kubelogin" && given(program.Args, "get-token") && !given(program.Args, "--oidc-issuer-url"):
		return microsoft(program)
	}
	return nil
}

// given says whether an argument is there, as it is or with a value.
func given(args []string, name string) bool {
	for _, a := range args {
		if a == name || strings.HasPrefix(a, name+"=") {
			return true
		}
	}
	return false
}

// option is the value of the first of the names that is there: --name value or
// --name=value; empty where none is.
func option(args []string, names ...string) string {
	for _, name := range names {
		for i, a := range args {
			if value, ok := strings.CutPrefix(a, name+"="); ok {
				return value
			}
			if a == name && i+1 < len(args) {
				return args[i+1]
			}
		}
	}
	return ""
}

// variable is one that the kubeconfig sets for the program.
func variable(program *api.ExecConfig, names ...string) string {
	for _, name := range names {
		for _, v := range program.Env {
			if v.Name == name && v.Value != "" {
				return v.Value
			}
		}
	}
	return ""
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
