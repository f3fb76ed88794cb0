package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// mostOver is how much longer a rolling release may take than kubectl.
const mostOver = time.Second

// strategies that are measured beside kubectl, and that which kubectl has for
// each.
var strategies = []struct{ name, yaml, kubectl string }{
	{"rolling", "rolling: {hold: 0s}", "RollingUpdate"},
	{"blue-green", "blue-green: {keep: 0s}", "RollingUpdate"},
	{"recreate", "recreate: {hold: 0s}", "Recreate"},
}

// releasing releases two versions in turns, by slipway and by kubectl apply and
// rollout status of the same Deployment. All images are on the node before.
func (b *bench) releasing(ctx context.Context) ([]row, error) {
	var all []row
	for i, s := range strategies {
		if i > 0 && b.Short {
			break
		}
		r, err := b.releaseBy(ctx, s.name, s.yaml, s.kubectl)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func (b *bench) releaseBy(ctx context.Context, name, strategy, theirs string) (_ row, err error) {
	own, other := "bench-release-"+name, "bench-rollout-"+name
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), own, other)) }()
	for _, ns := range []string{own, other} {
		if err := b.namespace(ctx, ns); err != nil {
			return row{}, err
		}
	}
	if err := b.configure(own, strategy, 1); err != nil {
		return row{}, err
	}
	files, err := b.prepare(ctx, name, own, other, theirs)
	if err != nil {
		return row{}, err
	}
	var t times
	var until []time.Duration
	for round := range either(b, b.rounds, 1) {
		version := round % 2
		did := []func() error{
			func() error {
				r, err := b.release(ctx, versions[version])
				t.own, until = append(t.own, r.Took), append(until, r.Took-r.Report.After("production"))
				return err
			},
			func() error { return took(&t.kubectl, func() error { return rollout(ctx, other, files[version]) }) },
		}
		if round%2 == 1 {
			slices.Reverse(did)
		}
		for _, do := range did {
			if err := do(); err != nil {
				return row{}, err
			}
		}
		say("  %s, round %d: slipway %s, until its last stage %s; kubectl %s", name, round+1, t.own[round].Round(time.Millisecond), until[round].Round(time.Millisecond), t.kubectl[round].Round(time.Millisecond))
	}
	over := median(until) - median(t.kubectl)
	f := figure{name: name + ": until all users are on the new version, over and above kubectl", measured: over.String()}
	if name == "rolling" {
		f.goal, f.missed = fmt.Sprintf("≤ %s", mostOver), over > mostOver
	}
	b.add(f)
	r := t.row("one Deployment released by " + name + ", until the old version is gone")
	r.compared, r.limit, r.above = "kubectl apply, rollout status", "", ""
	return r, nil
}

// prepare brings both versions to both namespaces, and writes the manifests for
// kubectl: the Deployment that slipway has made, with another name.
func (b *bench) prepare(ctx context.Context, name, own, other, strategy string) (files []string, err error) {
	for i, v := range versions {
		r, err := b.release(ctx, v)
		if err != nil {
			return nil, err
		}
		b.asked([]string{"the first release", "a release"}[i]+" by "+name, r)
		file, err := b.manifest(ctx, own, other, r.Report.Image.Digest, strategy, i)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	for _, file := range []string{files[0], files[1]} {
		if err := rollout(ctx, other, file); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (b *bench) manifest(ctx context.Context, own, other, digest, strategy string, n int) (string, error) {
	list, err := b.client.AppsV1().Deployments(own).List(ctx, meta.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range list.Items {
		d := &list.Items[i]
		if !strings.Contains(d.Spec.Template.Spec.Containers[0].Image, digest) {
			continue
		}
		labels := map[string]string{"app": "hello"}
		made := &apps.Deployment{
			TypeMeta:   meta.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
			ObjectMeta: meta.ObjectMeta{Name: "hello", Namespace: other},
			Spec:       apps.DeploymentSpec{Replicas: new(int32(1)), Selector: &meta.LabelSelector{MatchLabels: labels}, Template: d.Spec.Template},
		}
		made.Spec.Strategy.Type = apps.DeploymentStrategyType(strategy)
		made.Spec.Template.Labels = labels
		made.Spec.Template.Spec.ServiceAccountName, made.Spec.Template.Spec.DeprecatedServiceAccount = "", ""
		if err := b.settings(ctx, own, &made.Spec.Template.Spec.Containers[0]); err != nil {
			return "", err
		}
		text, err := json.Marshal(made)
		if err != nil {
			return "", err
		}
		path := filepath.Join(b.dir, fmt.Sprintf("%s-%d.json", other, n))
		return path, os.WriteFile(path, text, 0o600)
	}
	return "", fmt.Errorf("no Deployment in %s runs %s", own, digest)
}

// settings puts the variables of a container's ConfigMaps, which are in the namespace
// of slipway's app, into the container itself.
func (b *bench) settings(ctx context.Context, namespace string, c *core.Container) error {
	for _, from := range c.EnvFrom {
		m, err := b.client.CoreV1().ConfigMaps(namespace).Get(ctx, from.ConfigMapRef.Name, meta.GetOptions{})
		if err != nil {
			return err
		}
		for name, value := range m.Data {
			c.Env = append(c.Env, core.EnvVar{Name: name, Value: value})
		}
	}
	c.EnvFrom = nil
	return nil
}

func rollout(ctx context.Context, namespace, file string) error {
	if err := kubectl(ctx, "apply", "-f", file); err != nil {
		return err
	}
	return kubectl(ctx, "rollout", "status", "-n", namespace, "deployment/hello", "--timeout", "3m")
}

// asked adds what a release has asked of the API server.
func (b *bench) asked(what string, r workshop.Result) {
	c := r.Report.Cluster
	var parts []string
	for _, a := range c.Asked {
		parts = append(parts, fmt.Sprintf("%s %d", a.What, a.Times))
	}
	b.add(figure{name: "API requests of " + what, measured: fmt.Sprintf("%d: %s", c.Requests, strings.Join(parts, ", "))})
}
