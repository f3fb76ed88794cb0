package registry

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-ci/slipway/deploy"
)

var (
	armv7 = v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	nano  = v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.2700"}
)

// several is an index for platforms, one of which has a version of its system.
func several(t *testing.T) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(v1.ImageIndex(empty.Index), types.OCIImageIndex)
	for _, p := range []v1.Platform{amd64, armv7, nano} {
		img := mutate.MediaType(distroless(t, p), types.OCIManifestSchema1)
		config := must(img.ConfigFile()).DeepCopy()
		config.OSVersion = p.OSVersion
		img = must(mutate.ConfigFile(img, config))
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	return index
}

// layoutOn writes an artifact as an OCI layout.
func layoutOn(t *testing.T, artifacts ...mutate.Appendable) string {
	t.Helper()
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range artifacts {
		if index, ok := a.(v1.ImageIndex); ok {
			err = l.AppendIndex(index)
		} else {
			err = l.AppendImage(a.(v1.Image))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// archiveOf packs a folder as a tar archive.
func archiveOf(t *testing.T, dir string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "image.tar")
	var all bytes.Buffer
	w := tar.NewWriter(&all)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), os.WriteFile(at, all.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return at
}

// savedAs writes an image as docker save does.
func savedAs(t *testing.T, img v1.Image) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "saved.tar")
	if err := tarball.WriteToFile(at, must(name.NewTag("hello:1")), img); err != nil {
		t.Fatal(err)
	}
	return at
}

func opened(t *testing.T, at string, platforms ...string) *Stored {
	t.Helper()
	s, err := Open(t.Context(), at, platforms)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStoredImagesArePushedAsTheyAre(t *testing.T) {
	img := distroless(t, amd64)
	index := several(t)
	for name, c := range map[string]struct {
		at   string
		want Artifact
	}{
		"a layout":              {layoutOn(t, img), img},
		"a layout in a tar":     {archiveOf(t, layoutOn(t, img)), img},
		"an index":              {layoutOn(t, index), index},
		"an index in a tar":     {archiveOf(t, layoutOn(t, index)), index},
		"what docker save left": {savedAs(t, img), nil},
	} {
		t.Run(name, func(t *testing.T) {
			host := serve(t, nil)
			s := opened(t, c.at)
			pushed, sent, err := impatient().Push(t.Context(), s.Artifact(), host+"/acme/hello", "1.4.2")
			if err != nil || !sent {
				t.Fatalf("sent %v, %v", sent, err)
			}
			if c.want != nil && pushed.Digest != must(c.want.Digest()).String() {
				t.Errorf("pushed %s, not %s", pushed.Digest, must(c.want.Digest()))
			}
			if err := impatient().Verify(t.Context(), pushed); err != nil {
				t.Error(err)
			}
			// What runs is the same: the configuration stays, byte for byte.
			there, err := remote.Get(ref(t, pushed.Reference()))
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == nil {
				want = img
			}
			if diff := cmp.Diff(must(contents(want)), must(held(there))); diff != "" {
				t.Error(diff)
			}
			_, sent, err = impatient().Push(t.Context(), s.Artifact(), host+"/acme/hello", "1.4.2")
			if sent || err != nil {
				t.Errorf("again: sent %v, %v", sent, err)
			}
		})
	}
}

func TestIndexKeepsPlatforms(t *testing.T) {
	host := serve(t, nil)
	s := opened(t, layoutOn(t, several(t)), "linux/arm/v7", "windows/amd64")
	pushed, _, err := impatient().Push(t.Context(), s.Artifact(), host+"/acme/hello", "1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref(t, pushed.Reference()))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]v1.Platform{amd64, armv7, nano}, must(Platforms(index))); diff != "" {
		t.Error(diff)
	}
}

func TestIndexDoesNotReplaceAnother(t *testing.T) {
	host := serve(t, nil)
	c := impatient()
	if _, _, err := c.Push(t.Context(), several(t), host+"/acme/hello", "1.4.2"); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]Artifact{
		"an index":        index(t, distroless(t, amd64)),
		"an image of it":  distroless(t, amd64),
		"an image beside": baseOf(t, amd64, tarLayer(t, fileAt("other"))),
	} {
		_, sent, err := c.Push(t.Context(), other, host+"/acme/hello", "1.4.2")
		if _, taken := errors.AsType[*Taken](err); !taken || sent {
			t.Errorf("%s: sent %v, %v", name, sent, err)
		}
	}
}

func TestSavedLayersOfNewerDocker(t *testing.T) {
	// A layout whose layers nobody has compressed, with manifest.json beside.
	img := distroless(t, amd64)
	plain := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, l := range must(img.Layers()) {
		content, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		all := must(io.ReadAll(content))
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(all)), nil },
			tarball.WithMediaType(types.OCIUncompressedLayer), tarball.WithCompressionLevel(0))
		if err != nil {
			t.Fatal(err)
		}
		plain, err = mutate.Append(plain, mutate.Addendum{Layer: layer, MediaType: types.OCIUncompressedLayer})
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := layoutOn(t, plain)
	saved := must(openStore(savedAs(t, img)))
	defer func() { _ = saved.close() }()
	for entry := range saved.(*archiveStore).entries {
		f, _, err := saved.open(entry)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, entry), must(io.ReadAll(f)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := opened(t, archiveOf(t, dir))
	got := s.Artifact().(v1.Image)
	if must(got.ConfigName()) != must(img.ConfigName()) {
		t.Error("the configuration is another one")
	}
	for _, l := range must(got.Layers()) {
		if mediaType := must(l.MediaType()); mediaType != types.OCILayer {
			t.Errorf("a layer has the type %s", mediaType)
		}
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
}

func TestRestampedImagesAreTheSame(t *testing.T) {
	commit := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	digest := func(built time.Time) v1.Hash {
		h := fileAt("app")
		h.ModTime = built
		base := fileAt("old")
		base.ModTime = commit.Add(-time.Hour)
		img := baseOf(t, amd64, tarLayer(t, base), tarLayer(t, h))
		config := must(img.ConfigFile()).DeepCopy()
		config.Created = v1.Time{Time: built}
		config.History = []v1.History{{Created: v1.Time{Time: commit.Add(-time.Hour)}}, {Created: v1.Time{Time: built}}}
		img = must(mutate.ConfigFile(img, config))
		s, err := Restamp(t.Context(), savedAs(t, img), commit, map[string]string{keyVersion: "1.4.2"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		made := s.Artifact().(v1.Image)
		if err := validate.Image(made); err != nil {
			t.Error(err)
		}
		file := must(made.ConfigFile())
		if !file.Created.Equal(commit) || !file.History[0].Created.Equal(commit.Add(-time.Hour)) || !file.History[1].Created.Equal(commit) {
			t.Errorf("created %v, history %v", file.Created, file.History)
		}
		if got := must(made.Manifest()).Annotations[keyVersion]; got != "1.4.2" {
			t.Errorf("the annotation is %q", got)
		}
		return must(s.Digest())
	}
	if a, b := digest(commit.Add(time.Minute)), digest(commit.Add(time.Hour)); a != b {
		t.Errorf("%s, then %s", a, b)
	}
}

func TestStoredImagesThatAreNoneAreRefused(t *testing.T) {
	img := distroless(t, amd64)
	broken := func(change func(dir string)) string {
		dir := layoutOn(t, img)
		change(dir)
		return dir
	}
	layer := must(must(img.Layers())[0].Digest())
	blob := func(dir string) string { return filepath.Join(dir, blobName(layer)) }
	wrongPlatform := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &armv7}})
	compressed := filepath.Join(t.TempDir(), "image.tar.gz")
	two := filepath.Join(t.TempDir(), "two.tar")
	if err := tarball.MultiWriteToFile(two, map[name.Tag]v1.Image{
		must(name.NewTag("hello:1")): img, must(name.NewTag("other:1")): baseOf(t, amd64),
	}); err != nil {
		t.Fatal(err)
	}
	write(t, compressed, "\x1f\x8b\x08\x00and so on")
	for name, c := range map[string]struct {
		at, says string
		platform string
		usage    bool
	}{
		"nothing there":      {at: filepath.Join(t.TempDir(), "none"), says: "no such file", usage: true},
		"an empty folder":    {at: t.TempDir(), says: "no index.json", usage: true},
		"no archive":         {at: filepath.Join(folderOf(t, map[string]string{"x.tar": "hello, this is text"}), "x.tar"), says: "no tar archive", usage: true},
		"compressed":         {at: compressed, says: "is compressed", usage: true},
		"a blob is missing":  {at: broken(func(dir string) { remove(t, blob(dir)) }), says: layer.String() + " is missing"},
		"a blob was changed": {at: broken(func(dir string) { chmod(t, blob(dir), 0o600); write(t, blob(dir), "something else") }), says: "is not what its digest says"},
		"one byte was changed": {at: broken(func(dir string) {
			content := must(os.ReadFile(blob(dir)))
			content[len(content)/2] ^= 1
			chmod(t, blob(dir), 0o600)
			write(t, blob(dir), string(content))
		}), says: "is not what its digest says"},
		"two images":               {at: layoutOn(t, img, several(t)), says: "it holds 2 images", usage: true},
		"two saved images":         {at: two, says: "it holds 2 images", usage: true},
		"another platform":         {at: layoutOn(t, img), platform: "linux/arm64", says: "it is not there for linux/arm64"},
		"an index that lies":       {at: layoutOn(t, wrongPlatform), says: "calls an image linux/arm/v7 that is made for linux/amd64"},
		"an index without one":     {at: layoutOn(t, several(t)), platform: "linux/s390x", says: "it is not there for linux/s390x"},
		"what is not JSON":         {at: folderOf(t, map[string]string{"index.json": "{"}), says: "index.json"},
		"a saved list without any": {at: folderOf(t, map[string]string{"manifest.json": "[]"}), says: "there is no image in it"},
		"a saved list that leaves": {at: folderOf(t, map[string]string{"manifest.json": `[{"Config":"../../etc/passwd"}]`}), says: "its configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			var platforms []string
			if c.platform != "" {
				platforms = []string{c.platform}
			}
			before := openFiles(t)
			_, err := Open(t.Context(), c.at, platforms)
			if err == nil || !strings.Contains(err.Error(), c.says) || deploy.IsUsage(err) != c.usage {
				t.Errorf("got %v (usage %v), want %q", err, deploy.IsUsage(err), c.says)
			}
			if after := openFiles(t); after > before {
				t.Errorf("%d files are left open", after-before)
			}
		})
	}
}

func TestSavedLayerThatWasChanged(t *testing.T) {
	img := distroless(t, amd64)
	at := savedAs(t, img)
	content := must(os.ReadFile(at))
	saved := must(openStore(at)).(*archiveStore)
	defer func() { _ = saved.close() }()
	for name, e := range saved.entries {
		if strings.Contains(name, "tar") {
			copy(content[e.at:], "no gzip at all")
		}
	}
	write(t, at, string(content))
	if _, err := Open(t.Context(), at, nil); err == nil || !errors.Is(err, ErrIncomplete) {
		t.Errorf("got %v", err)
	}
}

func TestGiven(t *testing.T) {
	host := serve(t, nil)
	c := impatient()
	image, _, err := c.Push(t.Context(), several(t), host+"/ci/hello", "sha-1a2b3c4")
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{host + "/ci/hello:sha-1a2b3c4", image.Reference()} {
		g, err := c.Given(t.Context(), reference, []string{"linux/arm/v7"})
		if err != nil {
			t.Fatal(err)
		}
		// To the same repository, and to another one.
		for _, repository := range []string{host + "/ci/hello", host + "/acme/hello"} {
			tagged, _, err := c.Push(t.Context(), g.Artifact(), repository, "1.4.2")
			if err != nil {
				t.Fatal(err)
			}
			if tagged.Digest != image.Digest {
				t.Errorf("%s became %s", image.Digest, tagged.Digest)
			}
			if err := c.Verify(t.Context(), tagged); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestGivenSendsNothingWithinARepository(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	c := impatient()
	image, _, err := c.Push(t.Context(), distroless(t, amd64), host+"/acme/hello", "main")
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Given(t.Context(), image.Reference(), nil)
	if err != nil {
		t.Fatal(err)
	}
	seen.take()
	if _, _, err := c.Push(t.Context(), g.Artifact(), host+"/acme/hello", "1.4.2"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"PUT /v2/acme/hello/manifests/1.4.2"}, changes(seen.take())); diff != "" {
		t.Error(diff)
	}
}

func TestGivenIsRefused(t *testing.T) {
	host := serve(t, nil)
	c := impatient()
	image, _, err := c.Push(t.Context(), distroless(t, amd64), host+"/acme/hello", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	for reference, c2 := range map[string]struct {
		says  string
		usage bool
	}{
		host + "/acme/hello":         {"neither a tag nor a digest", true},
		host + "/acme/hello:2.0.0":   {"has no image 2.0.0", false},
		"UPPER:1":                    {"image", true},
		image.Reference()[:40] + "x": {"image", true},
	} {
		_, err := c.Given(t.Context(), reference, nil)
		if err == nil || !strings.Contains(err.Error(), c2.says) || deploy.IsUsage(err) != c2.usage || deploy.HintOf(err) == "" {
			t.Errorf("%s: %v, hint %q", reference, err, deploy.HintOf(err))
		}
	}
	if _, err := c.Given(t.Context(), image.Reference(), []string{"linux/riscv64"}); err == nil || !strings.Contains(err.Error(), "not there for linux/riscv64") {
		t.Errorf("got %v", err)
	}
}

// FuzzArchive holds that no archive leads out of itself or ends the process.
func FuzzArchive(f *testing.F) {
	for _, name := range []string{"manifest.json", "index.json"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		content := `[{"Config":"c.json","Layers":["l.tar"]}]`
		_ = w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o600})
		_, _ = w.Write([]byte(content))
		_ = w.WriteHeader(&tar.Header{Name: "c.json", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd"})
		_ = w.Close()
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		at := filepath.Join(t.TempDir(), "a.tar")
		if err := os.WriteFile(at, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), at, nil)
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				t.Error(err)
			}
			return
		}
		if img, ok := s.Artifact().(v1.Image); ok {
			if err := validate.Image(img); err != nil {
				t.Errorf("it was opened, and is none: %v", err)
			}
		}
		_ = s.Close()
	})
}
