package registry

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// program is a real executable of some size: the test itself.
func program(tb testing.TB, dir string) int64 {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		tb.Fatal(err)
	}
	content = content[:min(len(content), 10<<20)]
	if err := os.WriteFile(filepath.Join(dir, "hello"), content, 0o755); err != nil {
		tb.Fatal(err)
	}
	return int64(len(content))
}

func helloSpec(dir string) Spec {
	return Spec{
		Dir: dir,
		Build: deploy.Build{
			Files:      []deploy.File{{From: "hello", To: "/hello"}},
			Entrypoint: []string{"/hello"},
			Platform:   "linux/amd64",
		},
	}
}

// BenchmarkPack is what every release of a 10 MB program does: to know what
// the image is.
func BenchmarkPack(b *testing.B) {
	dir := b.TempDir()
	b.SetBytes(program(b, dir))
	for b.Loop() {
		img, err := new(Client).Pack(b.Context(), helloSpec(dir))
		if err != nil {
			b.Fatal(err)
		}
		_ = img.Close()
	}
}

// BenchmarkPackCompress is what a new 10 MB program needs besides: its
// compressed layer.
func BenchmarkPackCompress(b *testing.B) {
	dir := b.TempDir()
	size := program(b, dir)
	b.SetBytes(size)
	for b.Loop() {
		img, err := new(Client).Pack(b.Context(), helloSpec(dir))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := img.Digest(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(img.own[0].blob.size)/float64(size), "of-size")
		_ = img.Close()
	}
}

// BenchmarkPushUnchanged is a release of a commit that has been pushed: pack,
// and find it there.
func BenchmarkPushUnchanged(b *testing.B) {
	dir := b.TempDir()
	program(b, dir)
	host := serve(b, nil)
	release := func() bool {
		c := new(Client)
		img, err := c.Pack(b.Context(), helloSpec(dir))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = img.Close() }()
		_, sent, err := c.Push(context.Background(), img, host+"/acme/hello", "1.0.0")
		if err != nil {
			b.Fatal(err)
		}
		return sent
	}
	release()
	for b.Loop() {
		if release() {
			b.Fatal("sent again")
		}
	}
}
