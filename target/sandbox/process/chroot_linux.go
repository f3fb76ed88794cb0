package process

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// copier makes the world of a replica without mounting anything.
type copier struct {
	*rootCopy
	request
	note func(string)
	// stop tells when nobody wants the replica any more.
	stop func() error
	// resolver are the host's resolvers by path.
	resolver map[string][]byte
}

// settle makes the world that the app will see, in the copy that it returns
// even if it fails, for removal. Nothing of the image is trusted while it does:
// its links are followed only once they lead nowhere else.
func settle(r request, note func(string), stop func() error) (*rootCopy, error) {
	if err := unpackedTo(r.Root); err != nil {
		return nil, err
	}
	unix.Umask(0o022)
	claimed, err := claim(r.Root)
	if err != nil {
		return nil, spaceHint(fmt.Errorf("make a copy of the image: %w", err))
	}
	c := &copier{rootCopy: claimed, request: r, note: note, stop: stop, resolver: map[string][]byte{}}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"say how it is isolated", c.tell},
		{"look at the host's resolver", c.look},
		{"copy the image", c.image},
		{"change the root", c.chroot},
		{"make /dev", c.dev},
		{"make writable folders", c.scratch},
		{"copy the host's resolver", c.resolve},
	} {
		if err := step.do(); err != nil {
			return claimed, spaceHint(fmt.Errorf("%s: %w", step.what, err))
		}
	}
	return claimed, nil
}

func (c *copier) tell() error {
	c.note("no namespaces can be had here: this replica runs by chroot, as an ordinary user, and its /proc is empty")
	return nil
}

func (c *copier) look() error {
	for _, path := range resolvers {
		if content, err := os.ReadFile(path); err == nil {
			c.resolver[path] = content
		}
	}
	return nil
}

func (c *copier) image() error { return c.fill(c.Root, c.stop) }

func (c *copier) chroot() error {
	if err := unix.Chroot(c.path); err != nil {
		return err
	}
	return os.Chdir("/")
}

// harmless are the devices that every program may expect, with their numbers.
var harmless = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}}

// dev makes the harmless devices where the machine lets it, and a folder for
// shared memory.
func (c *copier) dev() error {
	for _, d := range harmless {
		if err := makeDevice("/dev/"+d.name, d.major, d.minor); err != nil {
			c.note(fmt.Sprintf("this replica has no devices: %v", err))
			break
		}
	}
	if err := os.Mkdir("/dev/shm", 0o755); err != nil {
		return err
	}
	return openToAll("/dev/shm")
}

// makeDevice makes a device and tries it: a file system may keep devices and
// refuse to open them.
func makeDevice(path string, major, minor uint32) error {
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return err
	}
	device, err := os.Open(path)
	if err != nil {
		_ = os.Remove(path)
		return err
	}
	return device.Close()
}

// openToAll lets everybody write a folder.
func openToAll(folder string) error { return os.Chmod(folder, 0o777|fs.ModeSticky) }

// scratch opens the folders that programs expect to be able to write.
func (c *copier) scratch() error {
	for _, folder := range scratchFolders {
		info, err := os.Stat(folder.path)
		if err != nil || !info.IsDir() { // a file is the image's
			c.note(notWritable(folder.path))
			continue
		}
		if err := openToAll(folder.path); err != nil {
			return err
		}
	}
	return nil
}

// resolve puts the host's files in the place of empty ones, which are the
// image's and stay as they are.
func (c *copier) resolve() error {
	for _, path := range resolvers {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > 0 || len(c.resolver[path]) == 0 {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		if err := os.WriteFile(path, c.resolver[path], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// probeChroot tries the powers that settle needs, and those to start an app as
// somebody else.
func probeChroot(user int) error {
	if err := unix.Chroot("/"); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := dropBounding(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return onOwnThread(func() error { return become(user) })
}
