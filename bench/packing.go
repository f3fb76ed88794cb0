package main

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/empty"
)

// packing measures how long it takes until an app that has changed is an image
// in a registry, beside what crane takes for the same file and registry.
func (b *bench) packing(ctx context.Context) error {
	if err := b.production(1, quick); err != nil {
		return err
	}
	content, err := os.ReadFile(b.App("1.0.0"))
	if err != nil {
		return err
	}
	var registry struct{ Registry string }
	if err := b.Query(ctx, &registry, "sandbox", "status", "--json"); err != nil {
		return err
	}
	var ours, cranes []time.Duration
	own, other := registry.Registry+"/hello:2.0.", registry.Registry+"/crane:2.0."
	rounds := 1 + b.rounds(20, 3)
	for n := range rounds {
		if err := b.change(content); err != nil {
			return err
		}
		mine, err := b.pack(ctx, fmt.Sprintf("2.0.%d", n))
		if err != nil {
			return err
		}
		theirs, err := b.packByCrane(ctx, fmt.Sprint(other, n))
		if err != nil {
			return err
		}
		if n > 0 { // the first warms up
			ours, cranes = append(ours, mine), append(cranes, theirs)
		}
	}
	size := fmt.Sprintf("an app of %s", mib(uint64(len(content))))
	if err := b.packed("pack and push "+size, ours, fmt.Sprint(own, rounds-1)); err != nil {
		return err
	}
	return b.packed("the same by crane append and push", cranes, fmt.Sprint(other, rounds-1))
}

// packed tells how long it took, and how much was sent.
func (b *bench) packed(name string, times []time.Duration, ref string) error {
	image, err := crane.Pull(ref, crane.Insecure)
	if err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	sent := manifest.Config.Size
	for _, l := range manifest.Layers {
		sent += l.Size
	}
	b.know(name, "%s; %s sent", spread(times), mib(uint64(sent)))
	return nil
}

// change makes the app one that no registry has seen, by some bytes at its end
// that the system does not load.
func (b *bench) change(content []byte) error {
	tail := make([]byte, 16)
	if _, err := rand.Read(tail); err != nil {
		return err
	}
	path := filepath.Join(b.Dir, "hello")
	return errors.Join(os.Remove(path), os.WriteFile(path, append(content[:len(content):len(content)], tail...), 0o755))
}

// pack builds and pushes by slipway: the two steps, without the start of the
// process, since crane runs in this one.
func (b *bench) pack(ctx context.Context, version string) (time.Duration, error) {
	r, err := b.deploy(ctx, 0, "build", "--push", "--version", version)
	if err != nil {
		return 0, err
	}
	return r.Report.Step("pack the image") + r.Report.Step("push the image"), nil
}

func (b *bench) packByCrane(ctx context.Context, to string) (time.Duration, error) {
	path := filepath.Join(b.Dir, "hello.tar")
	defer os.Remove(path)
	began := time.Now()
	if err := tarOf(filepath.Join(b.Dir, "hello"), path); err != nil {
		return 0, err
	}
	image, err := crane.Append(empty.Image, path)
	if err != nil {
		return 0, err
	}
	err = crane.Push(image, to, crane.WithContext(ctx), crane.Insecure)
	return time.Since(began), err
}

// tarOf packs one file.
func tarOf(file, to string) (err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	if err := w.WriteHeader(&tar.Header{Name: "hello", Mode: 0o755, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err = w.Write(content)
	return errors.Join(err, w.Close())
}
