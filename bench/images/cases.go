package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// changedFile is the one of tree A that changes.
var changedFile = nameOf(filesOfA / 20)

// pusher brings a tree to a registry as a version, and says what it took.
type pusher func(ctx context.Context, b *bench, r *registry, tree, version string) (used, error)

var pushers = map[string]pusher{own: bySlipway, crane: byCrane, docker: byDocker, buildah: byBuildah}

// bySlipway builds and pushes. Nothing is left of the time before but the
// registry: the home that slipway has is empty.
func bySlipway(ctx context.Context, b *bench, r *registry, tree, version string) (used, error) {
	dir := b.path(tree)
	project, err := os.ReadFile(filepath.Join(dir, "project.yaml"))
	if err != nil {
		return used{}, err
	}
	filled := strings.Replace(string(project), "REGISTRY", r.host, 1)
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(filled), 0o644); err != nil {
		return used{}, err
	}
	return b.commandIn(ctx, dir, b.tools.programs[own], "build", "--push", "--version", version)
}

// byCrane appends an archive that is there already: packing it is not measured.
func byCrane(ctx context.Context, b *bench, r *registry, tree, version string) (used, error) {
	return b.command(ctx, b.tools.programs[crane], "append", "--oci-empty-base",
		"-f", b.path(tree+".tar"), "-t", r.host+"/crane:"+version)
}

// byDocker builds without anything in its cache.
func byDocker(ctx context.Context, b *bench, r *registry, tree, version string) (used, error) {
	program, image := b.tools.programs[docker], r.host+"/docker:"+version
	if _, err := b.command(ctx, program, "builder", "prune", "--all", "--force"); err != nil {
		return used{}, err
	}
	built, err := b.command(ctx, program, "build", "--no-cache", "-q", "-t", image, b.path(tree))
	if err != nil {
		return used{}, err
	}
	pushed, err := b.command(ctx, program, "push", "-q", image)
	return used{time: built.time + pushed.time}, errors.Join(err, b.dockerClean(program, image))
}

// byBuildah builds in a store of its own.
func byBuildah(ctx context.Context, b *bench, r *registry, tree, version string) (used, error) {
	home, err := os.MkdirTemp(b.dir, "buildah-")
	if err != nil {
		return used{}, err
	}
	program, image := b.tools.programs[buildah], r.host+"/buildah:"+version
	var sum used
	for _, args := range [][]string{
		{"build", "--isolation", "chroot", "-q", "-t", image, b.path(tree)},
		{"push", "-q", "--tls-verify=false", image},
	} {
		u, err := b.command(ctx, program, buildahIn(home, b.tools.driver, args...)...)
		if err != nil {
			return used{}, err
		}
		sum.time += u.time
	}
	return sum, os.RemoveAll(home)
}

// each measures the tools that there are, each with a registry of its own that
// before has prepared.
func (b *bench) each(ctx context.Context, names []string, before, measured func(tool string, push pusher, r *registry) error) error {
	for _, tool := range names {
		if !b.tools.has(tool) {
			continue
		}
		err := b.withRegistry(ctx, func(r *registry) error {
			if before != nil {
				if err := before(tool, pushers[tool], r); err != nil {
					return err
				}
			}
			return measured(tool, pushers[tool], r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) empty(ctx context.Context, into *row) error {
	return b.each(ctx, []string{own, crane, docker, buildah}, nil, func(tool string, push pusher, r *registry) error {
		u, err := push(ctx, b, r, "a", "1.0.0")
		into.figures.add(tool, u.time)
		return err
	})
}

// again measures the push of a version where another is, and how many blobs are
// sent for it by slipway.
func (b *bench) again(ctx context.Context, into *row, version string, change func() error, most int) error {
	first := func(_ string, push pusher, r *registry) error {
		_, err := push(ctx, b, r, "a", "1.0.0")
		return err
	}
	return b.each(ctx, []string{own, crane}, first, func(tool string, push pusher, r *registry) error {
		before, err := r.blobs()
		if err := errors.Join(err, change()); err != nil {
			return err
		}
		u, err := push(ctx, b, r, "a", version)
		if err != nil {
			return err
		}
		into.figures.add(tool, u.time)
		after, err := r.blobs()
		if sent := after - before; tool == own && sent > most {
			into.broken = append(into.broken, fmt.Sprintf("%d blobs were sent, not %d", sent, most))
		}
		return err
	})
}

// oneChanged changes a file each time; the layer of it is sent, and a
// configuration.
func (b *bench) oneChanged(ctx context.Context, into *row) error {
	return b.again(ctx, into, "1.0.1", func() error {
		content, err := os.ReadFile(b.path("a", "tree", changedFile))
		if err != nil {
			return err
		}
		_, _ = rand.Read(content[:8]) // it never fails
		return errors.Join(write(b.path("a", "tree", changedFile), content), archive(b.path("a", "tree"), b.path("a.tar")))
	}, 2)
}

// sameFiles are those of another version, so that the configuration is sent.
func (b *bench) sameFiles(ctx context.Context, into *row) error {
	return b.again(ctx, into, "1.0.1", func() error { return nil }, 1)
}

func (b *bench) sameCommit(ctx context.Context, into *row) error {
	return b.again(ctx, into, "1.0.0", func() error { return nil }, 0)
}

// large compares with nothing but reading, hashing and sending the file.
func (b *bench) large(ctx context.Context, into *row) error {
	err := b.withRegistry(ctx, func(r *registry) error {
		u, err := bySlipway(ctx, b, r, "b", "1.0.0")
		into.figures.add(own, u.time)
		return err
	})
	if err != nil {
		return err
	}
	return b.withRegistry(ctx, func(r *registry) error {
		took, err := send(ctx, r, b.path("b", "tree", "blob"))
		into.figures.add(sending, took)
		return err
	})
}

// send reads and hashes a file, and then sends it as a blob.
func send(ctx context.Context, r *registry, path string) (time.Duration, error) {
	began := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	to, err := request(ctx, http.MethodPost, "http://"+r.host+"/v2/sending/blobs/uploads/", nil, 0, http.StatusAccepted)
	if err != nil {
		return 0, err
	}
	if to, err = request(ctx, http.MethodPatch, to, f, size, http.StatusAccepted); err != nil {
		return 0, err
	}
	_, err = request(ctx, http.MethodPut, fmt.Sprintf("%s&digest=sha256:%x", to, h.Sum(nil)), nil, 0, http.StatusCreated)
	return time.Since(began), err
}

// request gives where to go on.
func request(ctx context.Context, method, to string, body io.Reader, size int64, want int) (string, error) {
	if body != nil {
		body = io.NopCloser(body) // the file is closed by whoever opened it
	}
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return "", err
	}
	req.ContentLength = size
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		return "", fmt.Errorf("%s %s was answered with %s", method, to, answer.Status)
	}
	return answer.Header.Get("Location"), nil
}

// memory is what slipway holds at most, from an empty registry on.
func (b *bench) memory(ctx context.Context, into *row) error {
	if _, err := os.Stat(b.path("c")); err != nil {
		if err := b.largeTree(); err != nil {
			return err
		}
	}
	return b.withRegistry(ctx, func(r *registry) error {
		u, err := bySlipway(ctx, b, r, "c", "1.0.0")
		into.figures.add(own, u.time)
		into.megabytes = append(into.megabytes, float64(u.memory)/1e6)
		return err
	})
}
