package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

const (
	// filesOfA and sizeOfA are those of tree A; sizeOfB is that of the one file
	// of tree B, and sizeOfC of a tree that is to show what memory is held. Sizes
	// are in bytes.
	filesOfA = 8000
	sizeOfA  = 127_000_000
	sizeOfB  = 200_000_000
	sizeOfC  = 2_000_000_000
)

// trees writes tree A, tree B, and tree A as the archive that crane takes. They
// are the same in every run.
func (b *bench) trees() error {
	rng := rand.NewChaCha8([32]byte{'s', 'l', 'i', 'p', 'w', 'a', 'y'})
	words := vocabulary(rng)
	size := sizeOfA / filesOfA
	for i := range filesOfA / b.scale {
		if err := write(b.path("a", "tree", nameOf(i)), text(rng, words, size)); err != nil {
			return err
		}
	}
	err := errors.Join(
		writeNoise(b.path("b", "tree", "blob"), rng, sizeOfB/b.scale),
		write(b.path("a", "Dockerfile"), []byte("FROM scratch\nCOPY tree /srv\n")),
		os.MkdirAll(b.path("home"), 0o755),
		b.project("a"), b.project("b"),
	)
	if err != nil {
		return err
	}
	return archive(b.path("a", "tree"), b.path("a.tar"))
}

// nameOf spreads files over 40 packages of 10 folders.
func nameOf(i int) string {
	return filepath.Join(fmt.Sprintf("package-%02d", i/200), fmt.Sprintf("module-%d", i/20%10), fmt.Sprintf("file-%04d.txt", i))
}

// vocabulary are 4,000 words of 2 to 10 letters.
func vocabulary(rng *rand.ChaCha8) []string {
	r := rand.New(rng)
	words := make([]string, 4000)
	for i := range words {
		var w strings.Builder
		for range 2 + r.IntN(9) {
			w.WriteByte(byte('a' + r.IntN(26)))
		}
		words[i] = w.String()
	}
	return words
}

// text is words, which become 40 % by gzip.
func text(rng *rand.ChaCha8, words []string, size int) []byte {
	r := rand.New(rng)
	content := make([]byte, 0, size+16)
	for len(content) < size {
		content = append(content, words[r.IntN(len(words))]...)
		content = append(content, ' ')
	}
	return content[:size]
}

func write(path string, content []byte) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644))
}

// writeNoise writes what cannot be compressed.
func writeNoise(path string, rng io.Reader, size int) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.CopyN(f, rng, int64(size))
	return err
}

// largeTree writes files of 2 GB in all beside a file of a quarter of it: half of
// them text, half noise.
func (b *bench) largeTree() error {
	rng := rand.NewChaCha8([32]byte{'l', 'a', 'r', 'g', 'e'})
	words := vocabulary(rng)
	const each = 1 << 20
	noise := make([]byte, each)
	count := sizeOfC / b.scale / each
	single, err := os.Create(b.path("single"))
	if err != nil {
		return err
	}
	defer single.Close()
	for i := range count {
		content := text(rng, words, each)
		if i%2 == 0 {
			_, _ = rng.Read(noise)
			content = noise
		}
		if i%4 == 3 {
			_, err = single.Write(content)
		} else {
			err = write(b.path("c", "tree", fmt.Sprintf("package-%d", i%50), fmt.Sprintf("file-%d", i)), content)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(os.Rename(b.path("single"), b.path("c", "tree", "single")), b.project("c"))
}

// project makes a folder one that slipway builds. The registry is filled in
// when it is known.
func (b *bench) project(name string) error {
	return write(b.path(name, "project.yaml"), fmt.Appendf(nil, `app: tree
image: REGISTRY/slipway
build:
  platform: linux/amd64
  files: [{from: tree, to: /srv}]
  entrypoint: [/srv/start]
environments:
  production: {target: sandbox}
`))
}

// archive packs a folder, as somebody has to before crane can begin.
func archive(dir, to string) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return pack(w, dir, path, d)
	})
	return errors.Join(err, w.Close())
}

func pack(w *tar.Writer, dir, path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: "srv/" + name, Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
