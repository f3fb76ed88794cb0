package main

import (
	"cmp"
	"path/filepath"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry/dockerfile"
)

// engineSocket is where a Docker engine listens unless somebody says otherwise.
const engineSocket = "unix:///var/run/docker.sock"

// builders are where a builder for a Dockerfile is looked for: as Docker's own
// clients do it.
func (c *CLI) builders() dockerfile.Place {
	place := dockerfile.Place{
		Named:  c.Getenv("BUILDX_BUILDER"),
		Engine: cmp.Or(c.Getenv("DOCKER_HOST"), engineSocket),
	}
	if c.Getenv("DOCKER_TLS_VERIFY") != "" {
		place.Certificates = c.Getenv("DOCKER_CERT_PATH")
	}
	switch {
	case c.Getenv("BUILDX_CONFIG") != "":
		place.Buildx = c.Getenv("BUILDX_CONFIG")
	case c.Getenv("DOCKER_CONFIG") != "":
		place.Buildx = filepath.Join(c.Getenv("DOCKER_CONFIG"), "buildx")
	case c.Getenv("HOME") != "":
		place.Buildx = filepath.Join(c.Getenv("HOME"), ".docker", "buildx")
	}
	return place
}

// hideBuild masks the secrets of a build, line by line. A file that cannot be
// read is told where it is needed.
func (s *session) hideBuild(d *deploy.Dockerfile) {
	for _, name := range d.Secrets {
		if value := s.Getenv(name); value != "" {
			s.runner.AddMask(value)
		}
	}
	for id, path := range d.SecretFiles {
		if content, err := dockerfile.ReadSecret(s.dir, id, path); err == nil && len(content) > 0 {
			s.runner.AddMask(string(content))
		}
	}
}
