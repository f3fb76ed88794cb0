// Package cloud logs in to the registries of Amazon (ECR), Google (Artifact
// Registry, gcr.io) and Microsoft (ACR) with what a machine or a job has for the
// rest of that cloud, by the clouds' own libraries: variables, files, roles,
// metadata services. Nothing is written anywhere.
package cloud

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"

	"github.com/slipway-ci/slipway/deploy"
)

// Keychain finds credentials for the registries of the clouds; every other is
// anonymous to it, and so is one for which this machine has none. Its zero value
// works. It may be used from several goroutines, and must not be copied.
type Keychain struct {
	// Own says whether a registry is one that the app's images are in. gcr.io
	// alone is asked about: it is full of public images, for which nobody should
	// wait for credentials. Nil is never.
	Own func(host string) bool
	// Transport carries what is asked of a registry besides what the clouds'
	// libraries do; nil is http.DefaultTransport.
	Transport http.RoundTripper

	mu    sync.Mutex
	known map[string]credential
	// now is the clock; nil is time.Now.
	now func() time.Time
}

var (
	_ authn.Keychain        = (*Keychain)(nil)
	_ authn.ContextKeychain = (*Keychain)(nil)
)

// credential is an account until it has to be got anew.
type credential struct {
	account authn.Authenticator
	until   time.Time
}

const (
	// patience bounds the wait for a cloud, which may not answer where none is.
	patience = 20 * time.Second
	// renewal is how long before its end a password is got anew.
	renewal = 5 * time.Minute
)

// The hosts, as the clouds name them.
//
// Sources: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html,
// https://learn.microsoft.com/azure/container-registry/container-registry-concepts
var (
	amazonHost    = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.(aws|amazonwebservices\.com\.cn))$`)
	microsoftHost = regexp.MustCompile(`^[a-z0-9-]+\.azurecr\.(io|cn|us)$`)
)

// Resolve is ResolveContext, bounded by its own limits alone.
func (k *Keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext gives the account for a registry. A cloud that this machine has
// credentials for and that refuses them is an error.
func (k *Keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	host := target.RegistryStr()
	ask := k.provider(host)
	if ask == nil {
		return authn.Anonymous, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if have, ok := k.known[host]; ok && k.clock().Before(have.until) {
		return have.account, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("timed out after %s waiting for the login to %s", patience, host))
	defer cancel()
	got, err := ask(ctx, host)
	if err != nil {
		return nil, deploy.Hinted(fmt.Errorf("log in to %s: %w", host, err),
			"check what this machine or job has for that cloud, or log in by hand: docker login %s", host)
	}
	if k.known == nil {
		k.known = map[string]credential{}
	}
	k.known[host] = got
	return got.account, nil
}

// provider is who is asked about a host; nil where no cloud has it.
func (k *Keychain) provider(host string) func(context.Context, string) (credential, error) {
	switch {
	case amazonHost.MatchString(host):
		return k.amazon
	case microsoftHost.MatchString(host):
		return k.microsoft
	case strings.HasSuffix(host, ".pkg.dev"), isGCR(host) && k.Own != nil && k.Own(host):
		return k.google
	}
	return nil
}

func isGCR(host string) bool { return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") }

// google is Application Default Credentials, or else what gcloud is logged in
// with. Its account renews itself, so that it must not end with the question; the
// library bounds it.
func (k *Keychain) google(_ context.Context, host string) (credential, error) {
	account, err := google.Keychain.Resolve(registryOf(host))
	return credential{account: account, until: k.clock().Add(24 * time.Hour)}, err
}

// registryOf is a registry by its host.
type registryOf string

func (r registryOf) String() string      { return string(r) }
func (r registryOf) RegistryStr() string { return string(r) }

func (k *Keychain) clock() time.Time {
	if k.now == nil {
		return time.Now()
	}
	return k.now()
}

// nobody is what a machine without credentials is, for a while.
func (k *Keychain) nobody() credential {
	return credential{account: authn.Anonymous, until: k.clock().Add(renewal)}
}

// lasting is an account until shortly before its end.
func (k *Keychain) lasting(user, password string, end time.Time) credential {
	return credential{account: authn.FromConfig(authn.AuthConfig{Username: user, Password: password}), until: end.Add(-renewal)}
}
