package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// imageFile holds an unpacked image's facts beside its root file system.
const imageFile = "image.json"

// unpacked is an image that lies on disk, ready to run.
type unpacked struct {
	// Digest is what the registry delivered when it was unpacked.
	Digest     string   `json:"digest"`
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	Env        []string `json:"env,omitempty"`
	WorkingDir string   `json:"workingDir,omitempty"`
	root       string
}

// argv is the command that the image runs.
func (u unpacked) argv() []string {
	return append(append([]string{}, u.Entrypoint...), u.Cmd...)
}

// unpullable means that a registry has answered, and that its answer will not
// change by asking again.
type unpullable struct{ err error }

// Error is the reason in a sentence that follows a revision's name.
func (u *unpullable) Error() string { return u.err.Error() }

// Unwrap gives the registry's error.
func (u *unpullable) Unwrap() error { return u.err }

// images keeps one unpacked copy of each image: DIGEST/image.json and
// DIGEST/rootfs. Copies are shared and never written to.
type images struct {
	dir string
	// resolve turns the repository of a revision into where it is now.
	resolve func(repository string) string
	log     *slog.Logger

	mu   sync.Mutex
	pins map[string]int
	// busy holds a token for each digest that somebody is unpacking.
	busy map[string]chan struct{}
	// logins are what registries ask for, by host, as clients have told.
	logins map[string]authn.AuthConfig
}

var _ authn.Keychain = (*images)(nil)

// logIn remembers what opens a registry, until the sandbox ends.
func (i *images) logIn(l *wire.Login) {
	if l == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.logins[l.Host] = authn.AuthConfig{Username: l.User, Password: l.Password}
}

// Resolve finds what opens a registry: what a client has told, or else what
// docker login left.
func (i *images) Resolve(registry authn.Resource) (authn.Authenticator, error) {
	i.mu.Lock()
	login, told := i.logins[registry.RegistryStr()]
	i.mu.Unlock()
	if told {
		return authn.FromConfig(login), nil
	}
	return authn.DefaultKeychain.Resolve(registry)
}

func newImages(dir string, resolve func(string) string, log *slog.Logger) (*images, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, diskError(dir, err)
	}
	if err := removeLeftovers(dir); err != nil {
		return nil, fmt.Errorf("clean up images: %w", err)
	}
	return &images{dir: dir, resolve: resolve, log: log, pins: map[string]int{}, busy: map[string]chan struct{}{}, logins: map[string]authn.AuthConfig{}}, nil
}

// get gives an unpacked image, and pulls it where it is not there yet. Callers
// hold a pin.
func (i *images) get(ctx context.Context, image deploy.Image) (unpacked, error) {
	release, err := i.enter(ctx, image.Digest)
	if err != nil {
		return unpacked{}, err
	}
	defer release()
	u, absent, err := i.read(image.Digest)
	if err != nil || !absent {
		return u, err
	}
	if err := i.pull(ctx, image); err != nil {
		return unpacked{}, err
	}
	u, _, err = i.read(image.Digest)
	return u, err
}

// pin keeps an image from being removed until release is called.
func (i *images) pin(digest string) (release func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pins[digest]++
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.pins[digest]--; i.pins[digest] == 0 {
			delete(i.pins, digest)
		}
	}
}

// enter waits until nobody else works on a digest.
func (i *images) enter(ctx context.Context, digest string) (leave func(), err error) {
	i.mu.Lock()
	token, known := i.busy[digest]
	if !known {
		token = make(chan struct{}, 1)
		i.busy[digest] = token
	}
	i.mu.Unlock()
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for image %s: %w", deploy.ShortDigest(digest), context.Cause(ctx))
	}
}

// folder is where an image is unpacked.
func (i *images) folder(digest string) string {
	return filepath.Join(i.dir, strings.ReplaceAll(digest, ":", "-"))
}

// read reads what is unpacked.
func (i *images) read(digest string) (u unpacked, absent bool, err error) {
	dir := i.folder(digest)
	absent, err = readJSON(filepath.Join(dir, imageFile), &u)
	u.root = filepath.Join(dir, "rootfs")
	return u, absent, err
}

// pull fetches and unpacks an image beside its place, and moves it there once
// it is complete.
func (i *images) pull(ctx context.Context, image deploy.Image) error {
	img, digest, err := i.fetch(ctx, image)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("read the configuration of image %s: %w", image, err)
	}
	if err := runnable(config); err != nil {
		return &unpullable{fmt.Errorf("image %s cannot run here: %w", image, err)}
	}
	dir, err := os.MkdirTemp(i.dir, temporary)
	if err != nil {
		return diskError(i.dir, err)
	}
	defer func() { _ = removeTree(dir) }() // gone already when all went well
	if err := unpackTo(ctx, img, dir); err != nil {
		return diskError(i.folder(image.Digest), fmt.Errorf("unpack image %s: %w", image, err))
	}
	c := config.Config
	u := unpacked{Digest: digest, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir}
	if err := writeJSON(filepath.Join(dir, imageFile), u, replace); err != nil {
		return err
	}
	if err := os.Rename(dir, i.folder(image.Digest)); err != nil {
		return diskError(i.dir, err)
	}
	i.log.Info("image unpacked", "image", image.String())
	return nil
}

// unpackTo unpacks the layers into the folder's rootfs.
func unpackTo(ctx context.Context, img v1.Image, dir string) error {
	return process.Unpack(ctx, img, filepath.Join(dir, "rootfs"))
}

// fetch asks the registry for an image by digest. The digest that it gives
// back is of the content that arrived.
func (i *images) fetch(ctx context.Context, image deploy.Image) (v1.Image, string, error) {
	ref, err := name.NewDigest(i.resolve(image.Repository) + "@" + image.Digest)
	if err != nil {
		return nil, "", &unpullable{fmt.Errorf("image %s has no valid reference: %w", image, err)}
	}
	d, err := remote.Get(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(i),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, "", pullError(ctx, image, err)
	}
	img, err := d.Image()
	if err != nil {
		return nil, "", pullError(ctx, image, err)
	}
	return img, d.Digest.String(), nil
}

// pullError tells answers that will stay from trouble that may pass.
func pullError(ctx context.Context, image deploy.Image, err error) error {
	wrapped := fmt.Errorf("image %s cannot be pulled: %w", image.Reference(), err)
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("pull image %s: %w", image.Reference(), cause)
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return wrapped
	}
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
		return &unpullable{wrapped}
	}
	return wrapped
}

// runnable refuses what this machine cannot run.
func runnable(config *v1.ConfigFile) error {
	if config.OS != "" && config.OS != "linux" || config.Architecture != "" && config.Architecture != runtime.GOARCH {
		return fmt.Errorf("it is made for %s/%s, and this is linux/%s", config.OS, config.Architecture, runtime.GOARCH)
	}
	if len(config.Config.Entrypoint)+len(config.Config.Cmd) == 0 {
		return errors.New("it has neither entrypoint nor command")
	}
	return nil
}

// prune removes what is neither in use nor pinned. What cannot be removed now
// is tried again the next time.
func (i *images) prune(inUse map[string]bool) {
	entries, err := os.ReadDir(i.dir)
	if err != nil {
		i.log.Warn("list images", "error", err)
		return
	}
	for _, e := range entries {
		digest := strings.Replace(e.Name(), "-", ":", 1)
		if strings.HasPrefix(e.Name(), temporary) || inUse[digest] {
			continue
		}
		if err := i.removeUnpinned(digest); err != nil {
			i.log.Warn("remove image", "digest", digest, "error", err)
		}
	}
}

// removeUnpinned moves an image out of the way at once, so that nobody can
// find half of it, and then removes it. It needs no room on the disk.
func (i *images) removeUnpinned(digest string) error {
	folder := i.folder(digest)
	trash := filepath.Join(i.dir, temporary+filepath.Base(folder))
	if err := removeTree(trash); err != nil { // of an earlier try
		return err
	}
	i.mu.Lock()
	var err error
	if i.pins[digest] == 0 {
		err = os.Rename(folder, trash)
	}
	i.mu.Unlock()
	return errors.Join(err, removeTree(trash))
}
