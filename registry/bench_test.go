package registry

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
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

// assets is a folder of 100 MB in 2,000 files, as a web app may have: half of
// them compress well, half hardly.
func assets(b *testing.B) (dir string, size int64) {
	b.Helper()
	const files, each = 2000, 50 << 10
	dir = b.TempDir()
	rng := rand.NewChaCha8([32]byte{1})
	noise, text := make([]byte, each), bytes.Repeat([]byte("<li>hello, hello, hello</li>\n"), each/29+1)[:each]
	for i := range files {
		content := text
		if i%2 == 0 {
			_, _ = rng.Read(noise)
			content = noise
		}
		path := filepath.Join(dir, "public", strconv.Itoa(i/100), strconv.Itoa(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir, files * each
}

// BenchmarkPackTree is 100 MB in 2,000 files: to know what the image is, which
// is all that a release of unchanged files needs, and to compress it besides.
func BenchmarkPackTree(b *testing.B) {
	dir, size := assets(b)
	spec := Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "public", To: "/srv"}}}}
	for _, compress := range []bool{false, true} {
		name := "unchanged"
		if compress {
			name = "new"
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				img, err := new(Client).Pack(b.Context(), spec)
				if err != nil {
					b.Fatal(err)
				}
				if compress {
					if _, err := img.Digest(); err != nil {
						b.Fatal(err)
					}
				}
				_ = img.Close()
			}
		})
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
