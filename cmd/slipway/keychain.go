package main

import (
	"github.com/google/go-containerregistry/pkg/authn"
)

// packages is where GitHub keeps images; the token of a job opens it.
const packages = "ghcr.io"

// keychain finds credentials for a registry: those that docker login left, and
// for GitHub's own the token that the action was given.
func (s *session) keychain() authn.Keychain {
	return authn.NewMultiKeychain(authn.DefaultKeychain, jobToken{user: s.run.Who, token: s.token()})
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
