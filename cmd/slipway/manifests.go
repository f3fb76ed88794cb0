package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
)

// bringsIn reports whether this command makes revisions of what is written now.
func (s *session) bringsIn() bool {
	return slices.Contains([]string{"plan", "release", "promote", "preview"}, s.run.Operation)
}

// rendered reads the manifests of those environments that have some, and gives the
// environments as they then are. What is wrong with manifests is told here, before
// anything is built.
func (s *session) rendered(ctx context.Context, environments []deploy.Environment) ([]deploy.Environment, error) {
	all := slices.Clone(environments)
	for i, env := range all {
		if env.Target.Kind != kindKubernetes || env.Target.Cluster.Manifests == nil {
			continue
		}
		b, err := s.render(ctx, env)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", env.Name, err)
		}
		if s.bundles == nil {
			s.bundles = map[string]*bundle.Bundle{}
		}
		s.bundles[env.Name] = b
		all[i] = b.Configure(env)
	}
	return all, nil
}

// render reads the manifests of one environment. A chart is told what the cluster
// is and has.
func (s *session) render(ctx context.Context, env deploy.Environment) (*bundle.Bundle, error) {
	m := env.Target.Cluster.Manifests
	source := manifests.Source{
		Files: s.inDir(m.Files), Kustomization: s.inDir(m.Kustomization), Chart: s.inDir(m.Chart),
		Release: deploy.In(env.Name, cmp.Or(m.Release, s.file.App.Name)),
	}
	for _, file := range m.Values {
		source.Values = append(source.Values, s.inDir(file))
	}
	for _, value := range m.Set {
		source.Set = append(source.Set, deploy.In(env.Name, value))
	}
	if m.Chart != "" {
		c, err := s.cluster(ctx, env)
		if err != nil {
			return nil, err
		}
		source.Namespace = c.NamespaceOf(env)
		if source.Kubernetes, source.APIs, err = c.Abilities(ctx); err != nil {
			return nil, err
		}
	}
	set, err := manifests.Load(source)
	if err != nil {
		return nil, err
	}
	return bundle.New(set, manifests.Names{
		Workload: m.Workload, Container: m.Container, Service: m.Service, Route: m.Route,
	}, cmp.Or(env.Repository, s.file.App.Repository))
}

// inDir is a path of slipway.yaml; nothing stays nothing.
func (s *session) inDir(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Join(s.dir, path)
}
