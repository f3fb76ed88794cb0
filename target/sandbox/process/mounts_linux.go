package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// host is where the host's root is while a replica's is being built. It lies
// on a file system of our own, because the image's may be shared.
const host = "/dev/.host"

// devices are what every program may expect in /dev.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// resolvers tell a program how to find others; an image that has none, or an
// empty one, gets the host's.
var resolvers = []string{"/etc/resolv.conf", "/etc/hosts"}

// builder builds the file system of a replica.
type builder struct {
	request
	// note tells what could not be done and can be lived without.
	note func(string)
	// real are the resolvers' paths on the host with all links followed.
	real map[string]string
}

// build makes the world that the app will see. Nothing of the image is trusted
// while it does: its links are followed only once it is the root, where they
// lead nowhere else.
func build(r request, note func(string)) error {
	b := &builder{request: r, note: note, real: map[string]string{}}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"set the host name", b.name},
		{"keep mounts to ourselves", private},
		{"look at the host's resolver", b.look},
		{"mount the image", b.image},
		{"change the root", b.pivot},
		{"make /dev", b.dev},
		{"make /proc", b.proc},
		{"make writable folders", b.scratch},
		{"bind the host's resolver", b.resolver},
		{"let go of the host", b.letGo},
		{"make the root read-only", b.seal},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (b *builder) name() error { return unix.Sethostname([]byte(b.ID)) }

// private keeps what is mounted in here from showing anywhere else.
func private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return &refused{fmt.Errorf("make mounts private: %w", err)}
	}
	return nil
}

func (b *builder) look() error {
	for _, path := range resolvers {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			b.real[path] = real
		}
	}
	return nil
}

// image makes the unpacked image a mount of its own, with room for the host's
// root on a new /dev.
func (b *builder) image() error {
	if err := unpackedTo(b.Root); err != nil {
		return err
	}
	dev := filepath.Join(b.Root, "dev")
	if err := unix.Mount(b.Root, b.Root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &refused{err}
	}
	if err := unix.Mount("slipway", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=64k,nr_inodes=64"); err != nil {
		return &refused{err}
	}
	return os.Mkdir(filepath.Join(dev, filepath.Base(host)), 0o700)
}

// unpackedTo refuses a folder that Unpack has not made.
func unpackedTo(root string) error {
	info, err := os.Lstat(filepath.Join(root, "dev"))
	if errors.Is(err, os.ErrPermission) {
		return deploy.Hinted(err, "in a user namespace root has no power over other users' folders: keep the sandbox's state in a folder below none that only another user may enter")
	}
	if err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a folder that Unpack made: it has no /dev", root)
	}
	return nil
}

func (b *builder) pivot() error {
	if err := unix.PivotRoot(b.Root, filepath.Join(b.Root, host)); err != nil {
		return deploy.Hinted(err, "the sandbox does not work where the root is the kernel's initial one (rootfs, ramfs): run slipway on a mounted root file system")
	}
	return os.Chdir("/")
}

// dev holds the harmless devices, the usual links, and shared memory.
func (b *builder) dev() error {
	for _, name := range devices {
		if err := bindDevice(name); err != nil {
			return err
		}
	}
	for _, link := range [][2]string{
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	} {
		if err := os.Symlink(link[0], link[1]); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/dev/shm", 0o755); err != nil {
		return err
	}
	return tmpfs("/dev/shm", 0o1777, b.Scratch/4)
}

// bindDevice shows a device of the host's. Only /dev/null cannot be missed.
func bindDevice(name string) error {
	target := "/dev/" + name
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		return err
	}
	err := unix.Mount(host+target, target, "", unix.MS_BIND, "")
	if err != nil && name != "null" {
		return os.Remove(target)
	}
	return err
}

// proc shows the replica its own processes. Inside a container whose engine
// covers parts of /proc the kernel refuses that; then /proc stays empty.
func (b *builder) proc() error {
	err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		b.note("/proc is empty in this replica: the container around does not let it be mounted (--security-opt systempaths=unconfined would)")
		return nil
	}
	if err != nil {
		return err
	}
	// A namespace of its own would give back capabilities, if worthless ones.
	_ = os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	return guardProc()
}

// guardProc takes away what in /proc is the whole machine's. Where the caller
// is root, files there would be the replica's to write.
func guardProc() error {
	for _, path := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/mtrr"} {
		if err := bindReadOnly(path, path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, path := range []string{
		"/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/key-users", "/proc/timer_list",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/kallsyms", "/proc/kpagecount",
		"/proc/kpageflags", "/proc/kpagecgroup", "/proc/acpi", "/proc/asound", "/proc/scsi",
		"/proc/driver", "/proc/interrupts",
	} {
		if err := cover(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// cover hides a file behind /dev/null, or a folder behind an empty one.
func cover(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return unix.Mount("/dev/null", path, "", unix.MS_BIND, "")
	}
	return unix.Mount("slipway", path, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4k")
}

// scratchFolders are those that programs expect to be able to write.
var scratchFolders = []struct {
	path string
	mode os.FileMode
}{{"/tmp", 0o1777}, {"/run", 0o755}, {"/var/tmp", 0o1777}}

func notWritable(folder string) string {
	return folder + " is not writable in this replica: the image has no such folder"
}

// scratch mounts the folders that programs expect to be able to write.
func (b *builder) scratch() error {
	mounted := map[string]bool{}
	for _, folder := range scratchFolders {
		real, err := filepath.EvalSymlinks(folder.path)
		if err != nil {
			b.note(notWritable(folder.path))
			continue
		}
		if mounted[real] || strings.HasPrefix(real+"/", host+"/") {
			continue
		}
		mounted[real] = true
		if err := tmpfs(real, folder.mode, b.Scratch); err != nil {
			return fmt.Errorf("%s: %w", real, err)
		}
	}
	return nil
}

// resolver lends the host's files to an image that has empty ones, as Unpack
// makes them where there are none.
func (b *builder) resolver() error {
	for _, path := range resolvers {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > 0 || b.real[path] == "" {
			continue
		}
		if err := bindReadOnly(host+b.real[path], path); err != nil {
			b.note(fmt.Sprintf("%s of the host cannot be shown: %v", path, err))
		}
	}
	return nil
}

func (b *builder) letGo() error {
	if err := unix.Unmount(host, unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Remove(host); err != nil {
		return err
	}
	return readOnly("/dev")
}

func (b *builder) seal() error { return readOnly("/") }

// tmpfs mounts an empty, writable folder that is kept in memory.
func tmpfs(path string, mode os.FileMode, size int64) error {
	bits := uint32(mode.Perm())
	if mode&0o1000 != 0 { // as the kernel writes the sticky bit
		bits |= 0o1000
	}
	options := fmt.Sprintf("mode=%o,size=%d,nr_inodes=%d", bits, size, 1<<16)
	return unix.Mount("slipway", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
}

func bindReadOnly(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return readOnly(target)
}

// readOnly forbids writing to a mount. The flags that it has stay: the kernel
// does not let a user namespace drop those that came from outside.
func readOnly(path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return err
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID)
	for _, f := range []struct{ has, keep uintptr }{
		{unix.ST_NODEV, unix.MS_NODEV},
		{unix.ST_NOEXEC, unix.MS_NOEXEC},
		{unix.ST_NOATIME, unix.MS_NOATIME},
		{unix.ST_NODIRATIME, unix.MS_NODIRATIME},
		{unix.ST_RELATIME, unix.MS_RELATIME},
		{0x2000 /* ST_NOSYMFOLLOW */, unix.MS_NOSYMFOLLOW},
	} {
		if uintptr(fs.Flags)&f.has != 0 {
			flags |= f.keep
		}
	}
	return unix.Mount("", path, "", flags, "")
}
