package registry

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-ci/slipway/deploy"
)

// tarLayer makes a layer of a base, in Docker's format.
func tarLayer(tb testing.TB, headers ...tar.Header) v1.Layer {
	tb.Helper()
	var archived bytes.Buffer
	w := tar.NewWriter(&archived)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archived.Bytes())), nil })
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func dirAt(name string, mode int64, owner int) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode, Uid: owner, Gid: owner}
}

func fileAt(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}
}

// baseOf makes a base for a platform.
func baseOf(tb testing.TB, p v1.Platform, layers ...v1.Layer) v1.Image {
	tb.Helper()
	img := must(mutate.AppendLayers(empty.Image, layers...))
	c := must(img.ConfigFile()).DeepCopy()
	c.OS, c.Architecture, c.Variant = p.OS, p.Architecture, p.Variant
	c.Config = v1.Config{
		Entrypoint: []string{"/bin/sh"}, Cmd: []string{"-c", "true"}, User: "nonroot", Env: []string{"PATH=/bin"},
		Labels: map[string]string{"maintainer": "base", keyVersion: "12", keySource: "https://example.com/base"},
	}
	return must(mutate.ConfigFile(img, c))
}

var (
	amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = v1.Platform{OS: "linux", Architecture: "arm64"}
)

// distroless is such a base.
func distroless(tb testing.TB, p v1.Platform) v1.Image {
	return baseOf(tb, p, tarLayer(tb,
		dirAt("etc/", 0o755, 0), fileAt("etc/passwd"), dirAt("tmp/", 0o1777, 0), dirAt("home/nonroot", 0o700, 65532),
		tar.Header{Typeflag: tar.TypeSymlink, Name: "./bin", Linkname: "usr/bin"}, tar.Header{Typeflag: tar.TypeDir, Name: "/usr/bin", Mode: 0o755},
		fileAt("etc/os-release-"+p.Architecture),
	))
}

// onBase packs the small app on a base.
func onBase(dir, base string) Spec {
	spec := webSpec(dir)
	spec.Build.Base = base
	return spec
}

func TestBase(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	base := distroless(t, amd64)
	put(t, host+"/base/static:nonroot", base)
	seen.take()
	dir := folderOf(t, web)
	p := pack(t, onBase(dir, host+"/base/static:nonroot"))
	if sent := changes(seen.take()); len(sent) > 0 {
		t.Errorf("packing sent %v", sent)
	}

	c, m := must(p.ConfigFile()), must(p.Manifest())
	if len(m.Layers) != 3 || len(c.RootFS.DiffIDs) != 3 || len(c.History) != 3 {
		t.Fatalf("%d layers, %d contents, %d lines of history", len(m.Layers), len(c.RootFS.DiffIDs), len(c.History))
	}
	under := must(base.Manifest()).Layers[0]
	if m.Layers[0].Digest != under.Digest || under.MediaType != types.DockerLayer || m.Layers[0].MediaType != types.OCILayer {
		t.Errorf("the base's layer %v has become %v", under, m.Layers[0])
	}
	if c.Config.User != "nonroot" || c.Config.Cmd != nil || c.Config.Entrypoint[0] != "/hello" || c.Config.Env[0] != "PATH=/bin" {
		t.Errorf("configuration %+v", c.Config)
	}
	labels := map[string]string{
		"maintainer": "base", keySource: "https://github.com/acme/hello", keyRevision: strings.Repeat("a1", 20),
		keyVersion: "1.4.2", keyTitle: "hello", keyCreated: "2024-05-01T12:00:00Z",
	}
	if diff := cmp.Diff(labels, c.Config.Labels); diff != "" {
		t.Errorf("labels: %s", diff)
	}
	if m.Annotations[keyBaseName] != host+"/base/static:nonroot" || m.Annotations[keyBaseDigest] != must(base.Digest()).String() {
		t.Errorf("annotations %v", m.Annotations)
	}
	if err := validate.Image(p); err != nil {
		t.Error(err)
	}
	if again := digestOf(t, onBase(dir, host+"/base/static:nonroot")); again != must(p.Digest()) {
		t.Error("it is another image the second time")
	}
}

// What is only looked up is not downloaded: of a base without folders of ours,
// the layers stay where they are.
func TestBaseIsNotDownloaded(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	base := distroless(t, amd64)
	put(t, host+"/base/static:nonroot", base)
	seen.take()
	spec := onBase(folderOf(t, web), host+"/base/static:nonroot")
	spec.Build.Files = spec.Build.Files[:1]
	spec.Build.Entrypoint = nil
	p := pack(t, spec)
	if got := seen.take(); len(got) != 2 {
		t.Errorf("asked for more than manifest and configuration: %v", got)
	}
	if c := must(p.ConfigFile()).Config; c.Entrypoint[0] != "/bin/sh" || c.Cmd[0] != "-c" {
		t.Errorf("the base's entrypoint is not kept: %+v", c)
	}
}

// A layer of the base that the registry has in another repository is mounted,
// not sent.
func TestBaseIsMounted(t *testing.T) {
	base := distroless(t, amd64)
	layer := must(must(base.Layers())[0].Digest()).String()
	seen := &recorder{}
	host := serve(t, func(next http.Handler) http.Handler {
		return seen.middleware(intercept(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/v2/acme/hello/blobs/"+layer: // repositories are apart
				w.WriteHeader(http.StatusNotFound)
			case r.URL.Query().Get("mount") == layer && r.URL.Query().Get("from") == "base/static":
				w.WriteHeader(http.StatusCreated)
			default:
				return false
			}
			return true
		})(next))
	})
	put(t, host+"/base/static:nonroot", base)
	c := impatient()
	p := packWith(t, c, onBase(folderOf(t, web), host+"/base/static:nonroot"))
	seen.take()
	if _, _, err := c.Push(t.Context(), p, host+"/acme/hello", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	sent := seen.take()
	if mounts := those(sent, "POST /v2/acme/hello/blobs/uploads/?from=base%2Fstatic&mount="); len(mounts) != 1 {
		t.Errorf("%d mounts: %v", len(mounts), sent)
	}
	if uploads := those(sent, "PATCH "); len(uploads) != 3 { // two layers and the configuration
		t.Errorf("%d uploads: %v", len(uploads), uploads)
	}
}

func index(tb testing.TB, images ...v1.Image) v1.ImageIndex {
	tb.Helper()
	var add []mutate.IndexAddendum
	for _, img := range images {
		c := must(img.ConfigFile())
		add = append(add, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}}})
	}
	return mutate.AppendManifests(empty.Index, add...)
}

func TestBaseOfSeveralPlatforms(t *testing.T) {
	host := serve(t, nil)
	name := host + "/base/static:nonroot"
	attestation := baseOf(t, v1.Platform{OS: "unknown", Architecture: "unknown"})
	ix := index(t, distroless(t, amd64), distroless(t, arm64), distroless(t, v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}), attestation)
	if err := remote.WriteIndex(ref(t, name), ix); err != nil {
		t.Fatal(err)
	}
	dir := folderOf(t, web)
	for _, platform := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7"} {
		spec := onBase(dir, name)
		spec.Build.Platform = platform
		p := pack(t, spec)
		if c := must(p.ConfigFile()); c.Platform().String() != platform {
			t.Errorf("for %s it is for %s", platform, c.Platform())
		}
		if base := must(p.Manifest()).Annotations[keyBaseDigest]; base != must(ix.Digest()).String() {
			t.Errorf("the base is %s, which is not what the tag names", base)
		}
		below := strings.Join(content(t, must(p.Layers())[0]), "\n")
		if !strings.Contains(below, "os-release-"+strings.Split(platform, "/")[1]) {
			t.Errorf("%s is built on another's base", platform)
		}
	}

	spec := onBase(dir, name)
	spec.Build.Platform = "windows/amd64"
	_, err := impatient().Pack(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "pull the base "+name+": it is not there for windows/amd64") {
		t.Errorf("got %v", err)
	}
	if hint := deploy.HintOf(err); !strings.Contains(hint, "linux/amd64, linux/arm64, linux/arm/v7. Set build.platform") {
		t.Errorf("hint %q", hint)
	}
}

func TestBaseOfOnePlatform(t *testing.T) {
	host := serve(t, nil)
	put(t, host+"/base:arm", distroless(t, arm64))
	put(t, host+"/base:any", baseOf(t, v1.Platform{}))
	dir := folderOf(t, web)
	_, err := impatient().Pack(t.Context(), onBase(dir, host+"/base:arm"))
	if err == nil || !strings.Contains(err.Error(), "it is not there for linux/amd64") || !strings.Contains(deploy.HintOf(err), "linux/arm64") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	p := pack(t, onBase(dir, host+"/base:any"))
	if c := must(p.ConfigFile()); c.Platform().String() != "linux/amd64" {
		t.Errorf("on a base for anything it is for %s", c.Platform())
	}
	by := host + "/base@" + stored(t, host+"/base:any").String()
	if byDigest := must(pack(t, onBase(dir, by)).ConfigName()); byDigest != must(p.ConfigName()) {
		t.Error("by its digest the base makes another image")
	}
}

// A folder of the base keeps its mode and owner, unless an entry names another.
func TestFoldersOfTheBase(t *testing.T) {
	host := serve(t, nil)
	put(t, host+"/base:1", baseOf(t, amd64,
		tarLayer(t, dirAt("tmp", 0o700, 1), dirAt("srv/", 0o750, 9), dirAt("gone/", 0o700, 9), dirAt("emptied/in", 0o700, 9), dirAt("later", 0o700, 3)),
		tarLayer(t, dirAt("./tmp/", 0o1777, 0), fileAt(".wh.gone"), dirAt("emptied", 0o711, 4), fileAt("emptied/.wh..wh..opq"), fileAt("srv/.wh.x")),
		tarLayer(t, fileAt("unrelated"), dirAt("later", 0o770, 5)),
	))
	dir := folderOf(t, map[string]string{"a": "1", "tree/srv/b": "1"})
	for to, want := range map[string]string{
		"/tmp/a":        "dtrwxrwxrwx 0:0 tmp/",
		"/srv/a":        "drwxr-x--- 9:9 srv/",
		"/gone/a":       "drwxr-xr-x 0:0 gone/",
		"/emptied/a":    "drwx--x--x 4:4 emptied/",
		"/emptied/in/a": "drwxr-xr-x 0:0 emptied/in/",
		"/later/a":      "drwxrwx--- 5:5 later/",
		"/own/a":        "drwxr-xr-x 0:0 own/",
	} {
		spec := Spec{Dir: dir, Build: deploy.Build{Base: host + "/base:1", Platform: "linux/amd64", Files: []deploy.File{{From: "a", To: to}}}}
		if got := foldersIn(t, pack(t, spec)); !strings.Contains(got, want) {
			t.Errorf("%s: %q is not in %q", to, want, got)
		}
	}
	spec := Spec{Dir: dir, Build: deploy.Build{Base: host + "/base:1", Platform: "linux/amd64", Files: []deploy.File{{From: "tree", To: "/", UID: 7, GID: 7}}}}
	if got := foldersIn(t, pack(t, spec)); got != "drwxr-x--- 7:7 srv/" {
		t.Errorf("with an owner of its own: %q", got)
	}
}

// foldersIn are those of the last layer.
func foldersIn(tb testing.TB, p *Packed) string {
	var folders []string
	for _, line := range content(tb, p.own[len(p.own)-1]) {
		if f := strings.Fields(line); strings.HasPrefix(line, "d") {
			folders = append(folders, f[0]+" "+f[1]+" "+f[2])
		}
	}
	return strings.Join(folders, "\n")
}

func TestFolderInPlaceOfALinkOfTheBase(t *testing.T) {
	host := serve(t, nil)
	put(t, host+"/base:1", distroless(t, amd64))
	spec := onBase(folderOf(t, web), host+"/base:1")
	spec.Build.Files[0].To = "/bin/hello"
	_, err := impatient().Pack(t.Context(), spec)
	mustBeUsage(t, err, "build.files[0]: /bin is a link in the base image, and would become a folder", "/usr/bin for /bin")
	spec.Build.Files[0].To = "/etc/passwd/hello"
	_, err = impatient().Pack(t.Context(), spec)
	mustBeUsage(t, err, "/etc/passwd is a file in the base image", "")
}

// refusesConnections is an address where nothing listens.
func refusesConnections(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestBaseCannotBeHad(t *testing.T) {
	dir := folderOf(t, web)
	for name, test := range map[string]struct {
		host        func(t *testing.T) string
		says, hints string
	}{
		"not there": {
			func(t *testing.T) string { return serve(t, nil) },
			"base HOST/base/static:nonroot: HOST/base/static has no image nonroot", "correct build.base",
		},
		"for those who log in": {
			func(t *testing.T) string {
				return serve(t, always(http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`))
			},
			"pull the base HOST/base/static:nonroot: HOST wants a login: who are you?", "docker login HOST",
		},
		"not for this account": {
			func(t *testing.T) string { return serve(t, always(http.StatusForbidden, "")) },
			"pull the base HOST/base/static:nonroot: HOST does not allow it", "may pull from and push to HOST/base/static",
		},
		"a registry that is down": {
			refusesConnections,
			"nothing answers at HOST (connection refused)", "that the registry runs",
		},
		"a registry that fails": {
			func(t *testing.T) string { return serve(t, always(http.StatusInternalServerError, "")) },
			"HOST is not well: it answered 500 again and again", "registry's status",
		},
		"a registry that limits": {
			func(t *testing.T) string {
				return serve(t, always(http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`))
			},
			"HOST limits how much may be asked of it: TOOMANYREQUESTS", "after a login",
		},
		"a page instead of a manifest": {
			func(t *testing.T) string {
				return serve(t, always(http.StatusOK, "<html>welcome to our network</html>"))
			},
			`HOST answered with "text/html; charset=utf-8" and not with a manifest`, "proxy",
		},
		"a manifest that is damaged": {
			func(t *testing.T) string {
				return serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, "/manifests/") {
						return false
					}
					w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
					_, _ = io.WriteString(w, `{"schemaVersion":2,"config":`)
					return true
				}))
			},
			"pull the base HOST/base/static:nonroot: its manifest is damaged: unexpected EOF", "",
		},
		"a configuration that is gone": {
			func(t *testing.T) string {
				host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
						return false
					}
					http.Error(w, "gone", http.StatusNotFound)
					return true
				}))
				put(t, host+"/base/static:nonroot", distroless(t, amd64))
				return host
			},
			"pull the base HOST/base/static:nonroot: the image is incomplete: its configuration is missing", "another base",
		},
	} {
		t.Run(name, func(t *testing.T) {
			host := test.host(t)
			_, err := impatient().Pack(t.Context(), onBase(dir, host+"/base/static:nonroot"))
			if err == nil {
				t.Fatal("it is packed")
			}
			fill := func(s string) string { return strings.ReplaceAll(s, "HOST", host) }
			if !strings.HasPrefix(err.Error(), "pack the image: ") || !strings.Contains(err.Error(), fill(test.says)) {
				t.Errorf("%q does not say %q", err, fill(test.says))
			}
			if !strings.Contains(deploy.HintOf(err), fill(test.hints)) {
				t.Errorf("the hint %q does not say %q", deploy.HintOf(err), fill(test.hints))
			}
		})
	}
}

// always answers everything but the handshake alike.
func always(status int, body string) func(http.Handler) http.Handler {
	return intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" && status != http.StatusUnauthorized {
			return false
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	})
}

// The layers of a base are read where it has folders of ours.
func TestBaseLayerCannotBeRead(t *testing.T) {
	base := distroless(t, amd64)
	layer := must(must(base.Layers())[0].Digest()).String()
	for name, test := range map[string]struct {
		status     int
		body       string
		says       string
		incomplete bool
	}{
		"gone":              {http.StatusNotFound, "", "the image is incomplete: a layer is missing", true},
		"another":           {http.StatusOK, strings.Repeat("x", int(must(must(base.Layers())[0].Size()))), "error verifying sha256 checksum", false},
		"of another size":   {http.StatusOK, "something else", "does not match expected size", false},
		"a broken registry": {http.StatusBadGateway, "", "is not well: it answered 502", false},
	} {
		t.Run(name, func(t *testing.T) {
			host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, layer) {
					return false
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
				return true
			}))
			put(t, host+"/base:1", base)
			_, err := impatient().Pack(t.Context(), onBase(folderOf(t, web), host+"/base:1"))
			if err == nil || !strings.Contains(err.Error(), "read the base "+host+"/base:1: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, ErrIncomplete) != test.incomplete {
				t.Errorf("%v: is incomplete: %v", err, !test.incomplete)
			}
		})
	}
}

// What Docker calls a layer is called otherwise in an OCI image.
func TestTypesOfLayers(t *testing.T) {
	for have, want := range map[types.MediaType]types.MediaType{
		types.DockerLayer:             types.OCILayer,
		types.DockerUncompressedLayer: types.OCIUncompressedLayer,
		types.DockerForeignLayer:      types.OCIRestrictedLayer,
		types.OCILayer:                types.OCILayer,
		types.OCILayerZStd:            types.OCILayerZStd,
	} {
		if got := ociType(have); got != want {
			t.Errorf("%s has become %s, not %s", have, got, want)
		}
	}
}

// A manifest and its configuration have to name the same layers.
func TestBaseContradictsItself(t *testing.T) {
	host := serve(t, nil)
	base := distroless(t, amd64)
	put(t, host+"/base:1", base)
	m := *must(base.Manifest())
	m.Layers = nil
	rawManifest(t, host+"/base:1", types.DockerManifestSchema2, must(json.Marshal(m)))
	_, err := impatient().Pack(t.Context(), onBase(folderOf(t, web), host+"/base:1"))
	if err == nil || !strings.Contains(err.Error(), "it has 0 layers, and its configuration names 1") {
		t.Errorf("got %v", err)
	}
}
