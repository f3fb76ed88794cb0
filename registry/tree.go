package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// item is one thing in a layer.
type item struct {
	// path is where it is in the image, without the slash in front.
	path string
	kind kind
	// source is where a file is, relative to Spec.Dir.
	source string
	// implied marks a folder that is there only because something is in it.
	implied bool
	// target is where a link leads.
	target string
	// size is that of a file, in bytes.
	size     int64
	mode     int64
	uid, gid int
	// stamp is what the time of a file is made from; zero until it was read.
	stamp time.Time
}

// weight is what an item takes in an archive, in bytes.
func (it item) weight() int64 { return blockSize + (it.size+blockSize-1)/blockSize*blockSize }

// blockSize is what sizes in an archive are multiples of.
const blockSize = 512

type kind int

const (
	folder kind = iota
	file
	link
)

// String names it for people.
func (k kind) String() string { return [...]string{"folder", "file", "link"}[k] }

// planner turns the entries of a Build into the items of layers, and sees to
// it that no two entries want the same path. It reads names and sizes only.
type planner struct {
	root *os.Root
	// placed is what is at each path of the image so far.
	placed map[string]placement
	// mu is held to place something: folders are looked at side by side.
	mu sync.Mutex
}

// placement is who put what at a path.
type placement struct {
	item
	// entry is the index of the entry in Build.Files.
	entry int
}

// plan gives the items of one entry, sorted by path.
func (p *planner) plan(ctx context.Context, index int, f deploy.File) ([]item, error) {
	info, err := p.root.Stat(filepath.Clean(f.From))
	if err != nil {
		return nil, cannotRead(p.root, f.From, err)
	}
	e := &entry{planner: p, index: index, File: f}
	to := strings.TrimPrefix(f.To, "/")
	if err := e.parents(to); err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		err = e.tree(ctx, to)
	case to == "":
		err = deploy.Usage("name the file in the image: /"+filepath.Base(f.From), "from %q is a file and to is the root folder", f.From)
	default:
		err = e.file(filepath.Clean(f.From), to, info)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(e.items, byPath)
	return e.items, nil
}

func byPath(a, b item) int { return cmp.Compare(a.path, b.path) }

// complete adds the folders above items, as whoever owns them says. Where layers
// are unpacked apart from each other, as Docker does, a folder that a layer does
// not name would be made anew, and hide whose it was below.
func (p *planner) complete(items []item) []item {
	var all []item
	seen := map[string]bool{}
	for _, it := range items {
		for at := it.path; at != "." && !seen[at]; at = path.Dir(at) {
			seen[at] = true
			all = append(all, p.placed[at].item)
		}
	}
	slices.SortFunc(all, byPath)
	return all
}

// cannotRead says why a path below root cannot be had.
func cannotRead(root *os.Root, from string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return deploy.Hinted(fmt.Errorf("from %q: %w in %s", from, fs.ErrNotExist, absolute(root.Name())),
			"build it before Slipway runs, or correct the path: it is relative to the folder of slipway.yaml")
	case errors.Is(err, fs.ErrPermission):
		return deploy.Hinted(fmt.Errorf("from %q cannot be read: %w", from, fs.ErrPermission),
			"let the user that runs Slipway read it: chmod u+r %s", from)
	case errors.Is(err, syscall.ENOTDIR):
		return deploy.Hinted(fmt.Errorf("from %q goes through something that is no folder", from), "correct the path")
	case leaves(err):
		return deploy.Hinted(fmt.Errorf("from %q leads through a link out of %s", from, absolute(root.Name())),
			"copy what it leads to into the folder, or make the link relative")
	}
	return fmt.Errorf("from %q: %w", from, err)
}

// leaves tells the error that a root has for links out of it, which has no name.
// An absolute link is one, wherever it leads. All others come from the system.
func leaves(err error) bool {
	var system syscall.Errno
	return err != nil && !errors.As(err, &system) && !errors.Is(err, fs.ErrClosed)
}

// absolute is for messages: a relative folder tells little.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// entry is one entry of Build.Files being planned.
type entry struct {
	*planner
	deploy.File
	index int
	items []item
	// walkers look at folders.
	walkers errgroup.Group
}

// parents adds the folders above a path, from the root on.
func (e *entry) parents(to string) error {
	for i, c := range to {
		if c != '/' {
			continue
		}
		parent := item{path: to[:i], kind: folder, mode: 0o755, implied: true}
		if err := e.place(parent); err != nil {
			return err
		}
	}
	return nil
}

// tree adds a folder and all that is in it.
func (e *entry) tree(ctx context.Context, to string) error {
	from := filepath.Clean(e.From)
	if to != "" {
		if err := e.folder(to); err != nil {
			return err
		}
	}
	dir, err := e.root.OpenRoot(from)
	if err != nil {
		return cannotRead(e.root, from, err)
	}
	e.walkers.SetLimit(runtime.GOMAXPROCS(0))
	err = e.children(ctx, dir, from, to, 0)
	if walked := e.walkers.Wait(); err == nil {
		err = walked
	}
	return err
}

func (e *entry) folder(to string) error {
	return e.place(item{path: to, kind: folder, mode: 0o755, uid: e.UID, gid: e.GID})
}

// children adds what is in a folder that lies depth folders below From, and
// closes it. Each folder is opened once, and what is in it looked at from there:
// of a path in full, the system would walk every part again.
func (e *entry) children(ctx context.Context, dir *os.Root, from, to string, depth int) error {
	defer func() { _ = dir.Close() }() // it was read from only
	if ctx.Err() != nil {
		return interruption(ctx)
	}
	names, err := namesIn(dir)
	if err != nil {
		return cannotRead(e.root, from, err)
	}
	for _, name := range names {
		if err := e.child(ctx, dir, filepath.Join(from, name), path.Join(to, name), depth); err != nil {
			return err
		}
	}
	return nil
}

// below adds a folder in a folder, by another walker if there is one.
func (e *entry) below(ctx context.Context, above *os.Root, from, to string, depth int) error {
	if err := e.folder(to); err != nil {
		return err
	}
	dir, err := above.OpenRoot(filepath.Base(from))
	if err != nil {
		return cannotRead(e.root, from, err)
	}
	walk := func() error { return e.children(ctx, dir, from, to, depth) }
	if e.walkers.TryGo(walk) {
		return nil
	}
	return walk()
}

func namesIn(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.Readdirnames(-1)
}

func (e *entry) child(ctx context.Context, dir *os.Root, from, to string, depth int) error {
	if err := validateName(path.Base(to)); err != nil {
		return fmt.Errorf("from %q: %w", from, err)
	}
	info, err := dir.Lstat(filepath.Base(from))
	if err != nil {
		return cannotRead(e.root, from, err)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return e.below(ctx, dir, from, to, depth+1)
	case fs.ModeSymlink:
		return e.link(dir, from, to, depth)
	default:
		return e.file(from, to, info)
	}
}

func (e *entry) file(from, to string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return deploy.Hinted(fmt.Errorf("from %q is %s, which an image cannot hold", from, describe(info.Mode())),
			"leave it out: only files, folders and links go into an image")
	}
	return e.place(item{
		path: to, kind: file, source: from, size: info.Size(),
		mode: e.mode(info), uid: e.UID, gid: e.GID,
	})
}

// mode depends on what is executable alone, so that no umask changes a digest.
func (e *entry) mode(info fs.FileInfo) int64 {
	if e.Mode != 0 {
		return int64(e.Mode.Perm())
	}
	if info.Mode()&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

func describe(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	default:
		return "neither a file nor a folder nor a link"
	}
}

func (e *entry) link(dir *os.Root, from, to string, depth int) error {
	target, err := dir.Readlink(filepath.Base(from))
	if err != nil {
		return cannotRead(e.root, from, err)
	}
	target = filepath.ToSlash(target)
	if err := staysInside(target, depth); err != nil {
		return deploy.Hinted(fmt.Errorf("from %q: the link to %q %w", from, target, err),
			"make it a relative link to something within %s, or put the file itself there", e.From)
	}
	return e.place(item{path: to, kind: link, target: target, mode: 0o777, uid: e.UID, gid: e.GID})
}

// staysInside makes sure that a link that lies depth folders deep stays in its
// tree. Going up is allowed at its beginning alone: after a name, which may be
// a link itself, it could lead anywhere.
func staysInside(target string, depth int) error {
	if path.IsAbs(target) {
		return errors.New("is absolute")
	}
	up, down := 0, false
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if down {
				return errors.New("goes up after it went down")
			}
			up++
		default:
			down = true
		}
	}
	if up > depth {
		return errors.New("leaves its folder")
	}
	return nil
}

// place puts an item at its path, unless another entry is there.
func (e *entry) place(it item) error {
	if len(it.path) > maxPath {
		return deploy.Usage(fmt.Sprintf("shorten it to %d bytes", maxPath), "the path %q… is too long for an image", it.path[:80])
	}
	now := placement{item: it, entry: e.index}
	e.mu.Lock()
	defer e.mu.Unlock()
	before, there := e.placed[it.path]
	switch {
	case !there:
		return e.add(now)
	case it.kind == folder && before.kind == folder:
		return e.merge(before, now)
	}
	return e.collision(before, now)
}

func (e *entry) add(p placement) error {
	e.placed[p.path] = p
	e.items = append(e.items, p.item)
	return nil
}

// merge lets entries share a folder; the one that names it says who owns it.
func (e *entry) merge(before, now placement) error {
	switch {
	case now.implied:
		return nil
	case before.implied:
		return e.add(now)
	case before.uid != now.uid || before.gid != now.gid:
		return e.collision(before, now)
	}
	return nil
}

func (e *entry) collision(before, now placement) error {
	return deploy.Usage("let each entry have a path of its own",
		"/%s is wanted by %s (a %s of owner %d:%d) and by %s (a %s of owner %d:%d)", now.path,
		entryName(before.entry), before.kind, before.uid, before.gid,
		entryName(now.entry), now.kind, now.uid, now.gid)
}
