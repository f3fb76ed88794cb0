package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/metrics"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// kindKubernetes is the name of the driver for clusters.
const kindKubernetes = "kubernetes"

// kubeconfigVariable hands over the text of a kubeconfig where there are no
// inputs. A flag would show it to everybody on the machine.
const kubeconfigVariable = "SLIPWAY_KUBECONFIG"

// kubeconfig is the text of the one that was handed over; empty where none was.
// It is never written to a file.
func (s *session) kubeconfig() string {
	return strings.TrimSpace(cmp.Or(s.options.kubeconfig, s.Getenv(kubeconfigVariable)))
}

// cluster is the client of a context of the kubeconfig, opened once for each.
func (s *session) cluster(ctx context.Context, env deploy.Environment) (*kubernetes.Client, error) {
	name := env.Target.Cluster.Context
	if c := s.clusters[name]; c != nil {
		return c, nil
	}
	open, err := access.Open(ctx, access.Options{
		Kubeconfig: s.kubeconfig(),
		Files:      access.Files(s.Getenv("KUBECONFIG")), Home: s.Getenv("HOME"), Context: name,
		Warn: func(text string) { s.log.Warn("the cluster warns", "warning", text) },
	})
	if err != nil {
		return nil, err
	}
	c, err := kubernetes.New(ctx, open, kubernetes.Options{Log: s.log})
	if err != nil {
		return nil, err
	}
	if s.clusters == nil {
		s.clusters = map[string]*kubernetes.Client{}
	}
	s.clusters[name] = c
	return c, nil
}

// clusterTarget opens an environment in a cluster, which can only pull from a
// registry that it reaches.
func (s *session) clusterTarget(ctx context.Context, app string, env deploy.Environment) (deploy.Target, error) {
	if cmp.Or(env.Repository, s.file.App.Repository) == "" {
		return nil, deploy.Usage("add image: ghcr.io/acme/hello to the file, or to the environment",
			"%s runs in a cluster, which does not reach the registry that the sandbox holds on this machine", env.Name)
	}
	c, err := s.cluster(ctx, env)
	if err != nil && s.options.dryRun && !deploy.IsUsage(err) && ctx.Err() == nil {
		return away{empty{app, env.Name}, err}, nil // of the rest a plan can tell
	}
	if err != nil {
		return nil, err
	}
	if env.Target.Cluster.Rollout != "" {
		return c.Rollout(app, env), nil
	}
	t := c.Target(app, env)
	if err := s.bundled(ctx, t, env); err != nil {
		return nil, err
	}
	if driven := t.Driven(); driven != nil {
		return driven, nil
	}
	if s.placed == nil {
		s.placed = map[string]*kubernetes.Target{}
	}
	s.placed[env.Name] = t
	return t, nil
}

// bundled gives a target the manifests that are brought in, or has it find out what
// was brought in last.
func (s *session) bundled(ctx context.Context, t *kubernetes.Target, env deploy.Environment) error {
	b := s.bundles[env.Name]
	switch {
	case env.Target.Cluster.Manifests == nil:
		return nil
	case b == nil:
		return t.Recall(ctx)
	}
	return t.Use(b)
}

// usage is a source of what the cluster tells of the replicas of a plan.
func (s *session) usage(p deploy.Plan, m deploy.Metric) (metrics.Source, error) {
	t := s.placed[p.Environment]
	if t == nil {
		return nil, deploy.Usage("move the metric to a judge of an environment that has target: kubernetes", "%s is in no cluster that could tell it", p.Environment)
	}
	return t.Usage(m, p.Reference(), p.Candidate), nil
}

// inCluster reports whether any of the environments is in a cluster.
func inCluster(environments []deploy.Environment) bool {
	return slices.ContainsFunc(environments, func(e deploy.Environment) bool { return e.Target.Kind == kindKubernetes })
}

// requests is how often clusters were asked for what.
func (s *session) requests() map[string]int {
	sum := map[string]int{}
	for _, c := range s.clusters {
		for what, n := range c.Requests() {
			sum[what] += n
		}
	}
	return sum
}
