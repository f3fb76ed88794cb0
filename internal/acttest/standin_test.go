package acttest

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"
)

// standIn is an image that takes the place of one that cannot be pulled.
type standIn struct {
	// image is its name, also of the one that it stands in for.
	image string
	// changes are Dockerfile instructions that describe it.
	changes []string
	// fill writes its files.
	fill func(*rootfs)
	// contents are files that decide whether one from an earlier run will do.
	contents []string
	// needs are the static programs that it is made of.
	needs []string
}

// mark is the label of a stand-in: it holds the hash of what it is made of.
const mark = "slipway.stand-in"

// pullLimit bounds an attempt to pull.
const pullLimit = 5 * time.Minute

// provide makes the image be there: the one that is, else pulled, else the
// stand-in.
func (s standIn) provide(ctx context.Context) error {
	sum, err := s.hash()
	if err != nil {
		return err
	}
	marked, err := docker(ctx, nil, "image", "inspect", "--format", `{{index .Config.Labels "`+mark+`"}}`, s.image)
	if err == nil && (marked == "" || marked == sum) {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, pullLimit)
	defer cancel()
	_, refused := docker(bounded, nil, "pull", "--quiet", s.image)
	if refused == nil {
		return nil
	}
	if err := s.make(ctx, sum); err != nil {
		return errors.Join(refused, fmt.Errorf("make a stand-in for %s: %w", s.image, err))
	}
	return nil
}

// hash is that of all that the stand-in is made of.
func (s standIn) hash() (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, "5", runtime.Version(), s.changes)
	files := slices.Clone(s.contents)
	for _, name := range s.needs {
		if program, err := exec.LookPath(name); err == nil {
			files = append(files, program)
		}
	}
	for _, file := range files {
		if err := add(sum, file); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

func add(sum hash.Hash, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(sum, f)
	return err
}

// make imports it.
func (s standIn) make(ctx context.Context, sum string) error {
	for _, name := range s.needs {
		if _, err := static(name); err != nil {
			return err
		}
	}
	r, w := io.Pipe()
	go func() {
		root := &rootfs{tar: tar.NewWriter(w), made: map[string]bool{}}
		s.fill(root)
		w.CloseWithError(errors.Join(root.err, root.tar.Close()))
	}()
	args := []string{"import", "--change", fmt.Sprintf("LABEL %s=%s", mark, sum)}
	for _, change := range s.changes {
		args = append(args, "--change", change)
	}
	_, err := docker(ctx, r, append(args, "-", s.image)...)
	return errors.Join(err, r.Close())
}

// static finds a program that runs in an image without a C library.
func static(name string) (string, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w (Debian has static ones: apt-get install busybox-static bash-static)", err)
	}
	f, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("%s is linked to a C library, which an image does not have", program)
	}
	return program, nil
}

// rootfs is the tar of a file system. After an error it writes nothing more.
type rootfs struct {
	tar  *tar.Writer
	made map[string]bool
	err  error
}

// folder makes one with all above it.
func (r *rootfs) folder(name string, mode int64) {
	if name == "." || name == "/" || r.made[name] {
		return
	}
	r.folder(path.Dir(name), 0o755)
	r.made[name] = true
	r.write(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}, nil)
}

func (r *rootfs) link(name, to string) {
	r.folder(path.Dir(name), 0o755)
	r.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}, nil)
}

func (r *rootfs) text(name, content string) {
	r.folder(path.Dir(name), 0o755)
	r.write(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, strings.NewReader(content))
}

// file copies one of this machine.
func (r *rootfs) file(name, from string, mode int64) {
	f, err := os.Open(from)
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	r.folder(path.Dir(name), 0o755)
	r.write(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: info.Size(), ModTime: info.ModTime()}, f)
}

func (r *rootfs) write(h *tar.Header, content io.Reader) {
	if r.err != nil {
		return
	}
	if r.err = r.tar.WriteHeader(h); r.err == nil && content != nil {
		_, r.err = io.Copy(r.tar, content)
	}
}

// tree copies a folder of this machine, less some of what is at its top.
func (r *rootfs) tree(name, from string, without ...string) {
	err := filepath.WalkDir(from, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || r.err != nil {
			return errors.Join(err, r.err)
		}
		relative, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		if slices.Contains(without, relative) {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() {
			r.file(path.Join(name, filepath.ToSlash(relative)), file, int64(info.Mode().Perm()))
		}
		return err
	})
	r.err = errors.Join(r.err, err)
}

// busybox puts a shell and the usual commands there.
func (r *rootfs) busybox() {
	program, err := static("busybox")
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	applets, err := exec.Command(program, "--list").Output()
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("list the commands of %s: %w", program, err))
		return
	}
	r.file("bin/busybox", program, 0o755)
	for _, applet := range lines(string(applets)) {
		if applet != "busybox" {
			r.link("bin/"+applet, "busybox")
		}
	}
	r.folder("tmp", 0o1777)
	r.folder("var/tmp", 0o1777)
	r.folder("root", 0o700)
	r.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	r.text("etc/group", "root:x:0:\nnogroup:x:65534:\n")
	r.link("usr/bin/env", "/bin/env")
}

// certificates are those that this machine trusts.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// shellImage stands in for busybox.
func shellImage(image string) standIn {
	return standIn{
		image: image, needs: []string{"busybox"}, changes: []string{`CMD ["sh"]`},
		fill: func(r *rootfs) { r.busybox() },
	}
}

// runnerImage is what a job's own steps run in: as much of GitHub's runner as
// those of these tests need.
func runnerImage(image string) standIn {
	return standIn{
		image: image, needs: []string{"busybox", "bash-static"}, changes: []string{`CMD ["bash"]`},
		fill: func(r *rootfs) {
			r.busybox()
			if bash, err := static("bash-static"); err == nil {
				r.file("bin/bash", bash, 0o755)
			}
		},
	}
}

// goImage stands in for the image of a Go toolchain: this machine's own one,
// and the modules that the repository needs, as a module proxy of files.
func goImage(image, goroot, modules, repository string) standIn {
	sums := filepath.Join(repository, "go.sum")
	return standIn{
		image: image, needs: []string{"busybox"}, contents: []string{sums},
		changes: []string{
			"ENV PATH=/usr/local/go/bin:/bin GOPATH=/go GOCACHE=/go/cache GOTOOLCHAIN=local GOPROXY=file:///go/proxy",
			"WORKDIR /go", `CMD ["sh"]`,
		},
		fill: func(r *rootfs) {
			r.busybox()
			r.tree("usr/local/go", goroot, "test", "api", "doc", "misc")
			r.file("etc/ssl/certs/ca-certificates.crt", certificates, 0o644)
			r.proxy(sums, filepath.Join(modules, "cache", "download"))
			r.compiled(repository)
		},
	}
}

// compiled copies what Go's build cache has after a build as the Dockerfile
// does it, so that the build in the image compiles only what has changed since.
func (r *rootfs) compiled(repository string) {
	dir, err := os.MkdirTemp("", "slipway-go-build-")
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", os.DevNull, "./cmd/slipway")
	build.Dir = repository
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOCACHE="+dir)
	// What does not compile here does not in the image either: that build says
	// so, in the log of the run that it fails.
	_ = build.Run()
	r.tree("go/cache", dir)
}

// proxy copies the modules that go.sum names out of the module cache.
func (r *rootfs) proxy(sums, downloads string) {
	fetch := exec.Command("go", "mod", "download")
	fetch.Dir = filepath.Dir(sums)
	if out, err := fetch.CombinedOutput(); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("go mod download: %w\n%s", err, out))
	}
	content, err := os.ReadFile(sums)
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	for _, line := range lines(string(content)) {
		module, version, _ := strings.Cut(line, " ")
		version, _, _ = strings.Cut(version, " ")
		kinds := []string{".zip"}
		if v, ok := strings.CutSuffix(version, "/go.mod"); ok {
			version, kinds = v, []string{".mod", ".info"}
		}
		for _, kind := range kinds {
			name := path.Join(escaped(module), "@v", escaped(version)+kind)
			from := filepath.Join(downloads, filepath.FromSlash(name))
			if _, err := os.Stat(from); err == nil { // not every build needs all that go.sum has
				r.file("go/proxy/"+name, from, 0o644)
			}
		}
	}
}

// escaped is how the module proxy protocol writes capital letters.
func escaped(s string) string {
	var b strings.Builder
	for _, c := range s {
		if unicode.IsUpper(c) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
