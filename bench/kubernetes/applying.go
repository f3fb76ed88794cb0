package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/target/kubernetes/apply"
)

// mostApplying is what applying may take, by what kubectl takes.
const mostApplying = 1.2

// times are how long slipway and kubectl took, round by round.
type times struct{ own, kubectl []time.Duration }

// applying puts a set of 300 objects into an empty namespace, once more without
// a change, and once more with a change of each tenth. Slipway asks by a dry run
// first and keeps an inventory; kubectl does neither. Slipway's client is new
// each time, as kubectl's process is.
func (b *bench) applying(ctx context.Context) ([]row, error) {
	n := 300
	if b.Short {
		n = 60
	}
	cases := []string{"for the first time", "again, unchanged", "again, a tenth changed"}
	measured := make([]times, len(cases))
	for round := range b.rounds {
		if err := b.applyRound(ctx, n, round, measured); err != nil {
			return nil, err
		}
	}
	var all []row
	for i, name := range cases {
		all = append(all, measured[i].row(fmt.Sprintf("%d objects %s", n, name)))
	}
	return all, nil
}

func (b *bench) applyRound(ctx context.Context, n, round int, measured []times) (err error) {
	own, theirs := fmt.Sprintf("bench-slipway-%d", round), fmt.Sprintf("bench-kubectl-%d", round)
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), own, theirs)) }()
	for _, name := range []string{own, theirs} {
		if err := b.namespace(ctx, name); err != nil {
			return err
		}
	}
	for i, change := range []string{"", "", "changed"} {
		did := []func() error{
			func() error {
				return took(&measured[i].own, func() error { return b.applyOwn(ctx, own, objects(n, own, change)) })
			},
			func() error {
				file, err := b.file(objects(n, theirs, change))
				if err != nil {
					return err
				}
				return took(&measured[i].kubectl, func() error { return kubectl(ctx, "apply", "--server-side", "-f", file) })
			},
		}
		if round%2 == 1 { // what else the machine does falls on both alike
			slices.Reverse(did)
		}
		for _, do := range did {
			if err := do(); err != nil {
				return err
			}
		}
		say("round %d: slipway %s, kubectl %s", round+1, measured[i].own[round].Round(time.Millisecond), measured[i].kubectl[round].Round(time.Millisecond))
	}
	return nil
}

func (b *bench) applyOwn(ctx context.Context, namespace string, set []*unstructured.Unstructured) error {
	client, err := apply.New(b.config)
	if err != nil {
		return err
	}
	_, err = client.Apply(ctx, set, apply.Options{Owner: "bench", Namespace: namespace, Inventory: "bench-inventory"})
	return err
}

func took(to *[]time.Duration, do func() error) error {
	began := time.Now()
	err := do()
	*to = append(*to, time.Since(began))
	return err
}

func kubectl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "kubectl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl: %w: %s", err, out)
	}
	return nil
}

// objects are of five kinds; every tenth carries the change.
func objects(n int, namespace, change string) []*unstructured.Unstructured {
	kinds := []func(string) map[string]any{
		func(value string) map[string]any {
			return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"value": value}}
		},
		func(value string) map[string]any {
			return map[string]any{"apiVersion": "v1", "kind": "Secret", "stringData": map[string]any{"value": value}}
		},
		func(value string) map[string]any {
			return map[string]any{"apiVersion": "v1", "kind": "Service", "spec": map[string]any{
				"selector": map[string]any{"app": "a" + value}, "ports": []any{map[string]any{"port": int64(80)}},
			}}
		},
		func(value string) map[string]any {
			labels := map[string]any{"app": "a"}
			return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{
				"replicas": int64(0), "selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
					"containers": []any{map[string]any{"name": "a", "image": "registry.invalid/a:1", "env": []any{map[string]any{"name": "VALUE", "value": value}}}},
				}},
			}}
		},
		func(value string) map[string]any {
			return map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": map[string]any{
				"defaultBackend": map[string]any{"service": map[string]any{"name": "a" + value, "port": map[string]any{"number": int64(80)}}},
			}}
		},
	}
	var all []*unstructured.Unstructured
	for i := range n {
		value := ""
		if i%10 == 0 {
			value = change
		}
		o := &unstructured.Unstructured{Object: kinds[i%len(kinds)](value)}
		o.SetNamespace(namespace)
		o.SetName(fmt.Sprintf("object-%03d", i))
		all = append(all, o)
	}
	return all
}

func (b *bench) file(set []*unstructured.Unstructured) (string, error) {
	var text bytes.Buffer
	for _, o := range set {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			return "", err
		}
		text.WriteString("---\n")
		text.Write(data)
	}
	path := filepath.Join(b.dir, "set.yaml")
	return path, os.WriteFile(path, text.Bytes(), 0o600)
}

func (b *bench) namespace(ctx context.Context, name string) error {
	_, err := b.client.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{})
	return err
}

func (b *bench) forget(ctx context.Context, names ...string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, b.client.CoreV1().Namespaces().Delete(ctx, name, meta.DeleteOptions{}))
	}
	return errors.Join(errs...)
}

func (t times) row(name string) row {
	var ratios []float64
	for i := range t.own {
		ratios = append(ratios, t.own[i].Seconds()/t.kubectl[i].Seconds())
	}
	slices.Sort(ratios)
	middle := ratios[len(ratios)/2]
	r := row{
		name: name, compared: "kubectl apply --server-side",
		times: fmt.Sprintf("%s, %s", median(t.own), median(t.kubectl)),
		ratio: fmt.Sprintf("%.2f, %.2f, %.2f", ratios[0], middle, ratios[len(ratios)-1]),
		limit: fmt.Sprintf("≤ %.2f", mostApplying),
	}
	if middle > mostApplying {
		r.above = fmt.Sprintf("%.2f × kubectl, not %.2f", middle, mostApplying)
	}
	return r
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2].Round(time.Millisecond)
}
