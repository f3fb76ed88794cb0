package main

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
)

// packages is where GitHub keeps images; the token of a job opens it.
const packages = "ghcr.io"

// keychain finds credentials for a registry: by what slipway.yaml says of the
// image's, those that docker login left, and for GitHub's own the token that
// the action was given. Off a runner, docker login comes first: there is no
// token to be exchanged.
func (s *session) keychain() authn.Keychain {
	if s.keys == nil {
		s.keys = s.newKeychain() // one, because it remembers what it has exchanged
	}
	return s.keys
}

func (s *session) newKeychain() authn.Keychain {
	token := jobToken{user: s.run.Who, token: s.token()}
	exchange := s.exchange()
	switch {
	case exchange == nil:
		return authn.NewMultiKeychain(authn.DefaultKeychain, token)
	case s.runner.Present():
		return authn.NewMultiKeychain(exchange, authn.DefaultKeychain, token)
	default:
		return authn.NewMultiKeychain(authn.DefaultKeychain, exchange, token)
	}
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
