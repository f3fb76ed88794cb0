package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// releasingSets releases an app whose manifests have 300 objects by the binary: for
// the first time, and with another image and a tenth of the objects changed. Beside
// it, kubectl applies the same and waits for the app. Slipway does more in that time:
// it reads and checks the whole set, keeps it, copies what the app reads, moves users
// and retires the version before.
func (b *bench) releasingSets(ctx context.Context) (_ []row, err error) {
	const own, other = "bench-set", "bench-set-kubectl"
	n := either(b, 300, 60)
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), own, other)) }()
	for _, ns := range []string{own, other} {
		if err := b.namespace(ctx, ns); err != nil {
			return nil, err
		}
	}
	if err := b.configureSet(own); err != nil {
		return nil, err
	}
	var all []row
	for i, c := range []struct{ name, version, change string }{
		{"for the first time", versions[0], ""},
		{"with a tenth changed", versions[1], "changed"},
	} {
		var t times
		what := fmt.Sprintf("an app with %d objects released %s", n, c.name)
		file, err := b.file(set(n, own, c.change, b.repository()))
		if err != nil {
			return nil, err
		}
		// The same file is what slipway.yaml names.
		if err := os.Rename(file, filepath.Join(b.shop.Dir, "set.yaml")); err != nil {
			return nil, err
		}
		r, err := b.release(ctx, c.version)
		if err != nil {
			return nil, err
		}
		t.own = []time.Duration{r.Took}
		b.asked(what, r)
		if file, err = b.file(set(n, other, c.change, b.repository()+"@"+r.Report.Image.Digest)); err != nil {
			return nil, err
		}
		if err := took(&t.kubectl, func() error {
			if err := kubectl(ctx, "apply", "--server-side", "-f", file); err != nil {
				return err
			}
			return kubectl(ctx, "rollout", "status", "-n", other, "deployment/hello", "--timeout", "3m")
		}); err != nil {
			return nil, err
		}
		say("  %d objects, %d: slipway %s, kubectl %s", n, i+1, t.own[0].Round(time.Millisecond), t.kubectl[0].Round(time.Millisecond))
		line := t.row(what)
		line.compared, line.limit, line.above = "kubectl apply --server-side, rollout status", "", ""
		all = append(all, line)
	}
	return all, nil
}

// repository is the name of the app's images, without a version.
func (b *bench) repository() string { return b.registry + "/" + filepath.Base(b.dir) }

// configureSet writes a slipway.yaml whose app is one Deployment of many.
func (b *bench) configureSet(namespace string) error {
	return b.shop.Configure(fmt.Sprintf(`app: hello
image: %s
build: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}
judge: {on-unknown: promote}
environments:
  production:
    target: {kubernetes: {namespace: %s, manifests: set.yaml, workload: hello, pre-stop: 1s}}
    strategy: {rolling: {hold: 0s}}
`, b.repository(), namespace))
}

// set is n objects, of which two are the app.
func set(n int, namespace, change, image string) []*unstructured.Unstructured {
	labels := map[string]any{"app": "hello"}
	app := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{
		"selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
			"containers": []any{map[string]any{
				"name": "hello", "image": image, "env": []any{map[string]any{"name": "HOST", "value": "0.0.0.0"}},
				"ports":          []any{map[string]any{"containerPort": int64(8080)}},
				"readinessProbe": map[string]any{"httpGet": map[string]any{"path": "/healthz", "port": int64(8080)}, "periodSeconds": int64(1)},
			}},
		}},
	}}
	service := map[string]any{"apiVersion": "v1", "kind": "Service", "spec": map[string]any{
		"selector": labels, "ports": []any{map[string]any{"port": int64(80), "targetPort": int64(8080)}},
	}}
	all := objects(n-2, namespace, change)
	for _, own := range []map[string]any{app, service} {
		o := &unstructured.Unstructured{Object: own}
		o.SetNamespace(namespace)
		o.SetName("hello")
		all = append(all, o)
	}
	return all
}
