package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	stdjson "encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
)

// Bundle is a set of manifests, read and rendered, with what the app is in it. It
// does not change.
type Bundle struct {
	Set manifests.Set
	App manifests.App
	// Digest is "sha256:…" of the whole, before an image is put in.
	Digest string

	content []byte
	// packed compresses the content, once.
	packed func() ([]byte, error)
	port   int
}

// New finds the app in a set and refuses what cannot be run by revisions. Image
// is the repository of the app.
func New(set manifests.Set, names manifests.Names, image string) (*Bundle, error) {
	app, err := manifests.Find(set.Objects, names, image)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Set: set, App: app}
	if err := b.check(); err != nil {
		return nil, err
	}
	if b.content, err = b.encode(); err != nil {
		return nil, err
	}
	b.Digest = digestOf(b.content)
	b.packed = sync.OnceValues(b.pack)
	return b, nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// stored is the form of a Bundle that is kept. The app's parts are places in
// Objects, from 0; -1 is none.
type stored struct {
	Objects    []map[string]any `json:"objects"`
	Hooks      []hook           `json:"hooks,omitempty"`
	Workload   int              `json:"workload"`
	Template   int              `json:"template"`
	Service    int              `json:"service"`
	Route      int              `json:"route"`
	Autoscaler int              `json:"autoscaler"`
	Container  string           `json:"container"`
}

type hook struct {
	Object map[string]any `json:"object"`
	Events []string       `json:"events"`
	Weight int            `json:"weight,omitempty"`
	Delete []string       `json:"delete,omitempty"`
}

func (b *Bundle) encode() ([]byte, error) {
	at := func(o *unstructured.Unstructured) int { return slices.Index(b.Set.Objects, o) }
	s := stored{
		Workload: at(b.App.Workload), Template: at(b.App.Template), Service: at(b.App.Service), Route: at(b.App.Route),
		Autoscaler: at(b.App.Autoscaler), Container: b.App.Container,
	}
	for _, o := range b.Set.Objects {
		s.Objects = append(s.Objects, o.Object)
	}
	for _, h := range b.Set.Hooks {
		s.Hooks = append(s.Hooks, hook{Object: h.Object.Object, Events: h.Events, Weight: h.Weight, Delete: h.Delete})
	}
	content, err := stdjson.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write down the manifests: %w", err)
	}
	return content, nil
}

// Encode is the Bundle as it is kept, compressed.
func (b *Bundle) Encode() ([]byte, error) { return b.packed() }

func (b *Bundle) pack() ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(b.content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress the manifests: %w", err)
	}
	return out.Bytes(), nil
}

// mostContent bounds what is read of a kept Bundle, in bytes.
const mostContent = 256 << 20

// Decode reads back what Encode wrote. That it is of another digest is an error.
func Decode(data []byte, digest string) (*Bundle, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read kept manifests: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(r, mostContent))
	if err != nil {
		return nil, fmt.Errorf("read kept manifests: %w", err)
	}
	if got := digestOf(content); got != digest {
		return nil, deploy.Hinted(fmt.Errorf("the manifests that are kept are %s, not %s", got, digest), "somebody has changed them: release anew")
	}
	var s stored
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, fmt.Errorf("read kept manifests: %w", err)
	}
	b := &Bundle{Digest: digest, content: content}
	b.packed = sync.OnceValues(b.pack)
	for _, o := range s.Objects {
		b.Set.Objects = append(b.Set.Objects, &unstructured.Unstructured{Object: o})
	}
	for _, h := range s.Hooks {
		b.Set.Hooks = append(b.Set.Hooks, manifests.Hook{Object: &unstructured.Unstructured{Object: h.Object}, Events: h.Events, Weight: h.Weight, Delete: h.Delete})
	}
	at := func(i int) *unstructured.Unstructured {
		if i < 0 || i >= len(b.Set.Objects) {
			return nil
		}
		return b.Set.Objects[i]
	}
	b.App = manifests.App{
		Workload: at(s.Workload), Template: at(s.Template), Service: at(s.Service), Route: at(s.Route),
		Autoscaler: at(s.Autoscaler), Container: s.Container,
	}
	if b.App.Workload == nil || b.App.Template == nil {
		return nil, fmt.Errorf("the manifests that are kept as %s have no workload", digest)
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}
