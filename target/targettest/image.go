package targettest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-ci/slipway/deploy"
)

// appPackage is the source of the app that images hold.
const appPackage = "github.com/slipway-ci/slipway/target/targettest/testapp"

// appLayer is a layer with the app, built and packed once in a process.
var appLayer = sync.OnceValues(func() (v1.Layer, error) {
	dir, err := os.MkdirTemp("", "testapp-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "app")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, appPackage)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the app: %w\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return layerOf(program)
})

// layerOf is a layer with one executable, /app.
func layerOf(program []byte) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	err := w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program)), ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = w.Write(program)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
}

// Image is an image of the app with flags in its entrypoint; see testapp.
func Image(t testing.TB, flags ...string) v1.Image {
	t.Helper()
	layer, err := appLayer()
	if err != nil {
		t.Fatal(err)
	}
	return imageOf(t, layer, append([]string{"/app"}, flags...))
}

// Broken is an image whose entrypoint is not there.
func Broken(t testing.TB) v1.Image {
	t.Helper()
	layer, err := layerOf([]byte("nothing"))
	if err != nil {
		t.Fatal(err)
	}
	return imageOf(t, layer, []string{"/missing", "--flag"})
}

// Packed is an image of one program, which is linked statically.
func Packed(t testing.TB, program []byte) v1.Image {
	t.Helper()
	layer, err := layerOf(program)
	if err != nil {
		t.Fatal(err)
	}
	return imageOf(t, layer, []string{"/app"})
}

// imageOf is an image of one layer.
func imageOf(t testing.TB, layer v1.Layer, entrypoint []string) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config.Entrypoint = entrypoint
	file.Config.Env = []string{"PATH=/usr/bin", "FROM_IMAGE=image", "OVERRIDDEN=image"}
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	return img
}

// Push brings an image to a repository such as 127.0.0.1:5000/hello and tells
// under which name and digest it is there.
func Push(t testing.TB, img v1.Image, repository, version string) deploy.Image {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(repository + "@" + digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
	return deploy.Image{Repository: repository, Digest: digest.String(), Version: version}
}
