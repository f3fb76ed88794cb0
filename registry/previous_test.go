package registry

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
)

// thin is a client whose layers hold little.
func thin() *Client {
	c := impatient()
	c.weight = 1 << 20
	return c
}

// vendored is the folder of an app that is a few thin layers: some of
// dependencies, one of its own, and one that does not shrink.
func vendored(t *testing.T) Spec {
	t.Helper()
	dir := t.TempDir()
	noise := make([]byte, 1<<20+1)
	_, _ = rand.Read(noise)
	for i := range 9 {
		write(t, fmt.Sprintf("%s/app/vendor/m%d", dir, i), strings.Repeat(fmt.Sprintf("module %d, and more of it\n", i), 1<<17/24))
	}
	write(t, dir+"/app/model", string(noise))
	write(t, dir+"/app/src/main", "#!/bin/sh\n")
	return Spec{Dir: dir, Created: committed, Build: deploy.Build{
		Files: []deploy.File{{From: "app", To: "/srv", UID: 3, GID: 4}}, Platform: "linux/amd64",
	}}
}

// mustBeWhole checks every byte of an image in a registry. The library's own
// check takes all layers for compressed ones.
func mustBeWhole(t *testing.T, reference string) {
	t.Helper()
	img := must(remote.Image(ref(t, reference)))
	for i, l := range must(img.Layers()) {
		sent, size, err := v1.SHA256(must(l.Compressed()))
		if d := must(img.Manifest()).Layers[i]; err != nil || sent != d.Digest || size != d.Size {
			t.Errorf("layer %d has %s and %d bytes, not %s and %d: %v", i, sent, size, d.Digest, d.Size, err)
		}
		content, _, err := v1.SHA256(must(l.Uncompressed()))
		if want := must(img.ConfigFile()).RootFS.DiffIDs[i]; err != nil || content != want {
			t.Errorf("layer %d holds %s, not %s: %v", i, content, want, err)
		}
	}
}

// On a machine that has seen nothing of it, a new commit with the same files
// sends its configuration alone, and compresses nothing.
func TestUnchangedLayersAreTakenOver(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	spec := vendored(t)
	push := func(version string) (*Packed, int) {
		t.Helper()
		spec.Version, spec.Revision, spec.Created = version, version, spec.Created.AddDate(0, 0, 1)
		c := thin()
		p := packWith(t, c, spec)
		if _, sent, err := c.Push(t.Context(), p, host+"/acme/hello", version); err != nil || !sent {
			t.Fatalf("sent %v, %v", sent, err)
		}
		return p, len(those(seen.take(), "PATCH "))
	}
	first, n := push("1.0.0")
	if layers := len(first.own); layers < 4 || n != layers+1 {
		t.Fatalf("of %d layers %d blobs are sent", layers, n)
	}
	tmp := temporary(t)
	t.Setenv("TMPDIR", filepath.Join(tmp, "missing")) // nothing can be compressed
	second, n := push("1.0.1")
	if n != 1 {
		t.Errorf("of the same files %d blobs are sent, not the configuration alone", n)
	}
	if diff := cmp.Diff(must(first.Manifest()).Layers, must(second.Manifest()).Layers); diff != "" {
		t.Error(diff)
	}

	t.Setenv("TMPDIR", tmp)
	write(t, spec.Dir+"/app/src/main", "#!/bin/bash\n")
	third, n := push("1.1.0")
	if n != 2 {
		t.Errorf("of one changed file %d blobs are sent, not its layer and the configuration", n)
	}
	mustBeWhole(t, host+"/acme/hello:1.1.0")
	// Whether there was something to take over does not show.
	if want, got := must(packWith(t, thin(), spec).Digest()), must(third.Digest()); got != want {
		t.Errorf("with a predecessor it is %s, without %s", got, want)
	}
}

// What the registry has lost is made again, and what others made in their way is
// not taken over.
func TestLayersThatCannotBeTakenOver(t *testing.T) {
	for name, test := range map[string]struct {
		before func(t *testing.T, host string, p *Packed)
		answer func(w http.ResponseWriter, r *http.Request) bool
	}{
		"no list of tags": {answer: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/tags/list") {
				http.Error(w, "no", http.StatusNotFound)
				return true
			}
			return false
		}},
		"a list that is none": {answer: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/tags/list") {
				_, _ = w.Write([]byte("<html>"))
				return true
			}
			return false
		}},
		"a predecessor without its configuration": {answer: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				http.Error(w, "lost", http.StatusNotFound)
				return true
			}
			return false
		}},
		"packed otherwise": {before: func(t *testing.T, host string, p *Packed) {
			m := must(p.Manifest()).DeepCopy()
			m.Annotations[keyPacking] = "1"
			m.Layers[0].Digest = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
			rawManifest(t, host+"/acme/hello:1.0.1", "application/vnd.oci.image.manifest.v1+json", must(json.Marshal(m)))
		}},
		"layers that are gone": {before: func(t *testing.T, host string, p *Packed) {
			m := must(p.Manifest()).DeepCopy()
			for i := range m.Layers {
				m.Layers[i].Digest = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(fmt.Sprint(i%10), 64)}
			}
			rawManifest(t, host+"/acme/hello:1.0.1", "application/vnd.oci.image.manifest.v1+json", must(json.Marshal(m)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := test.answer
			if answer == nil {
				answer = func(http.ResponseWriter, *http.Request) bool { return false }
			}
			host := serve(t, intercept(answer))
			spec := vendored(t)
			c := thin()
			first := packWith(t, c, spec)
			if _, _, err := c.Push(t.Context(), first, host+"/acme/hello", "1.0.0"); err != nil {
				t.Fatal(err)
			}
			if test.before != nil {
				test.before(t, host, first)
			}
			spec.Version = "1.0.2"
			c = thin()
			image, _, err := c.Push(t.Context(), packWith(t, c, spec), host+"/acme/hello", "1.0.2")
			if err != nil {
				t.Fatal(err)
			}
			if want := must(packWith(t, thin(), spec).Digest()).String(); image.Digest != want {
				t.Errorf("it is %s, not %s", image.Digest, want)
			}
			if err := c.Verify(t.Context(), image); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNearestVersions(t *testing.T) {
	tags := []string{"latest", "1.0.0", "2.0.0", "1.10.0", "1.9.0", "1.4", "2.1.0-main.3.gabc", "2.1.0-main.12.gdef", "3.0.0", "2.1.0_b.7", "sha256-1.sig"}
	for tag, want := range map[string][]string{
		"2.1.0-main.13.g123": {"2.1.0-main.12.gdef", "2.1.0-main.3.gabc", "2.0.0", "1.10.0", "1.9.0", "1.0.0", "2.1.0_b.7", "3.0.0"},
		"1.10.0":             {"1.9.0", "1.0.0", "2.0.0", "2.1.0-main.3.gabc", "2.1.0-main.12.gdef", "2.1.0_b.7", "3.0.0"},
		"0.1.0":              {"1.0.0", "1.9.0", "1.10.0", "2.0.0", "2.1.0-main.3.gabc", "2.1.0-main.12.gdef", "2.1.0_b.7", "3.0.0"},
		"edge":               {"3.0.0", "2.1.0_b.7", "2.1.0-main.12.gdef", "2.1.0-main.3.gabc", "2.0.0", "1.10.0", "1.9.0", "1.0.0"},
	} {
		if diff := cmp.Diff(want, nearestVersions(tag, tags)); diff != "" {
			t.Errorf("%s: %s", tag, diff)
		}
	}
}

// What does not shrink is sent as it lies, and its digest is that of its content.
func TestIncompressible(t *testing.T) {
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise)
	text := bytes.Repeat([]byte("hello, hello\n"), 1<<18)
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"noise":       {noise, "application/vnd.oci.image.layer.v1.tar"},
		"text":        {text, "application/vnd.oci.image.layer.v1.tar+gzip"},
		"hexadecimal": {[]byte(fmt.Sprintf("%x", noise)), "application/vnd.oci.image.layer.v1.tar+gzip"},
		"some of it":  {append(bytes.Clone(noise), text[:1<<20]...), "application/vnd.oci.image.layer.v1.tar+gzip"},
		"little":      {noise[:1000], "application/vnd.oci.image.layer.v1.tar+gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folderOf(t, map[string]string{"x": string(test.content)})
			c := impatient()
			p := packWith(t, c, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "x", To: "/x"}}}})
			host := serve(t, nil)
			image, _, err := c.Push(t.Context(), p, host+"/acme/hello", "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			mustBeWhole(t, image.Reference())
			l := must(p.Manifest()).Layers[0]
			if string(l.MediaType) != test.want || l.MediaType == "application/vnd.oci.image.layer.v1.tar" && l.Digest != p.own[0].diffID {
				t.Errorf("got %+v", l)
			}
		})
	}
}

// A file that changes while it is being sent as it lies is found out.
func TestFileChangesWhileItIsSent(t *testing.T) {
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise)
	dir := folderOf(t, map[string]string{"x": string(noise)})
	c := impatient()
	p := packWith(t, c, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "x", To: "/x"}}}})
	if _, err := p.Digest(); err != nil { // nothing is read for it
		t.Fatal(err)
	}
	noise[1<<20+1<<19]++
	write(t, dir+"/x", string(noise))
	seen := &recorder{}
	host := serve(t, seen.middleware)
	_, _, err := c.Push(t.Context(), p, host+"/acme/hello", "1.0.0")
	if err == nil || !strings.Contains(err.Error(), "pack "+host+"/acme/hello:1.0.0: build.files[0]: a file changed while it was being packed") {
		t.Errorf("got %v", err)
	}
	if puts := those(seen.take(), "PUT /v2/acme/hello/manifests/"); len(puts) > 0 {
		t.Errorf("half an image has a name: %v", puts)
	}
}
