package main

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/registry/cloud"
)

// packages is where GitHub keeps images; the token of a job opens it.
const packages = "ghcr.io"

// keychain finds credentials for a registry, the first that there are: for the
// image's those that were handed over by name, and by what slipway.yaml says of
// it; those that docker login left; for GitHub's own the token that the action
// was given; and what a machine or a job has for the rest of a cloud. Off a
// runner, docker login comes before the file: there is no token to be exchanged.
// Whatever is found is masked before it is used.
func (s *session) keychain() authn.Keychain {
	if s.keys == nil {
		s.keys = masking{s.newKeychain(), eachOnce(s.runner.AddMask)} // one, because it remembers what it has exchanged
	}
	return s.keys
}

func (s *session) newKeychain() authn.Keychain {
	all := []authn.Keychain{s.handed()}
	exchange := s.exchange()
	switch {
	case exchange == nil:
		all = append(all, authn.DefaultKeychain)
	case s.runner.Present():
		all = append(all, exchange, authn.DefaultKeychain)
	default:
		all = append(all, authn.DefaultKeychain, exchange)
	}
	return authn.NewMultiKeychain(append(all, jobToken{user: s.run.Who, token: s.token()}, &cloud.Keychain{Own: s.owns})...)
}

// The variables that hand over an account for the image's registry where there
// are no inputs. A flag would show the password to everybody on the machine.
const (
	userVariable     = "SLIPWAY_REGISTRY_USER"
	passwordVariable = "SLIPWAY_REGISTRY_PASSWORD"
)

// handed is the account that inputs or variables name.
func (s *session) handed() handedOver {
	h := handedOver{user: s.options.registryUser, password: s.options.registryPassword}
	if h.user == "" && h.password == "" {
		h.user, h.password = s.Getenv(userVariable), s.Getenv(passwordVariable)
	}
	if repository, err := name.NewRepository(s.file.App.Repository); err == nil {
		h.host = repository.RegistryStr()
	}
	return h
}

// handedOver opens one registry.
type handedOver struct{ host, user, password string }

// checked refuses half of an account, and one for no registry.
func (h handedOver) checked() error {
	switch {
	case h.user == "" && h.password == "":
		return nil
	case h.user == "" || h.password == "":
		return deploy.Usage("give both: the inputs registry-user and registry-password, or "+userVariable+" and "+passwordVariable,
			"a registry is logged in to by a user and a password, and one of them is missing")
	case h.host == "":
		return deploy.Usage("add image: registry.example.com/acme/hello, or leave the login out",
			"the login is for the registry of image, and the file names none")
	}
	return nil
}

// Resolve is anonymous for all other registries.
func (h handedOver) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if h.user == "" || target.RegistryStr() != h.host {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: h.user, Password: h.password}), nil
}

// owns says whether images of the app are in a registry.
func (s *session) owns(host string) bool {
	repositories := []string{s.file.App.Repository}
	for _, env := range s.file.App.Environments {
		repositories = append(repositories, env.Repository)
	}
	return slices.ContainsFunc(repositories, func(r string) bool { return strings.HasPrefix(r, host+"/") })
}

// eachOnce passes on each text the first time.
func eachOnce(tell func(string)) func(string) {
	var told sync.Map
	return func(text string) {
		if _, known := told.LoadOrStore(text, true); !known {
			tell(text)
		}
	}
}

// masking tells of every secret that a keychain finds, before it is used.
type masking struct {
	authn.Keychain
	hide func(string)
}

// ResolveContext implements authn.ContextKeychain.
func (m masking) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	found, err := authn.Resolve(ctx, m.Keychain, target)
	if err != nil || found == authn.Anonymous {
		return found, err
	}
	return masked{found, m.hide}, nil
}

// masked is an account that may get its secrets late, or anew.
type masked struct {
	authn.Authenticator
	hide func(string)
}

// Authorization implements authn.Authenticator.
func (m masked) Authorization() (*authn.AuthConfig, error) {
	return m.AuthorizationContext(context.Background())
}

// AuthorizationContext implements authn.ContextAuthenticator.
func (m masked) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	config, err := authn.Authorization(ctx, m.Authenticator)
	if err != nil {
		return nil, err
	}
	for _, secret := range []string{config.Password, config.IdentityToken, config.RegistryToken, config.Auth} {
		if secret != "" {
			m.hide(secret)
		}
	}
	return config, nil
}

// login is what the keychain has for a registry, for the sandbox to pull with.
func (s *session) login(ctx context.Context, host string) (user, password string, err error) {
	registry, err := name.NewRegistry(host)
	if err != nil {
		return "", "", err
	}
	found, err := authn.Resolve(ctx, s.keychain(), registry)
	if err != nil {
		return "", "", err
	}
	config, err := authn.Authorization(ctx, found)
	if err != nil {
		return "", "", err
	}
	return config.Username, config.Password, nil
}

// exchange opens the registry of the image by the OIDC token of the job; nil
// where the file does not ask for it.
func (s *session) exchange() *registry.Exchange {
	app := s.file.App
	if app.Login == nil {
		return nil
	}
	repository, err := name.NewRepository(app.Repository)
	if err != nil {
		return nil // it is refused where it is used, with a hint
	}
	host := repository.RegistryStr()
	return &registry.Exchange{
		Host: host, URL: app.Login.Exchange, Audience: app.Login.Audience,
		Username: app.Login.User, Scope: app.Login.Scope,
		Token: func(ctx context.Context, audience string) (string, error) {
			token, err := s.runner.IDToken(ctx, audience)
			if err != nil && !s.runner.Present() {
				return "", deploy.Hinted(err, "log in by hand: docker login %s", host)
			}
			return token, err
		},
		Hide: s.runner.AddMask,
	}
}

// jobToken opens GitHub's registry with the token of the job.
type jobToken struct{ user, token string }

// Resolve is anonymous for all other registries.
func (j jobToken) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if target.RegistryStr() != packages || j.token == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: j.user, Password: j.token}), nil
}
