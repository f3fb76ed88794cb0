package sandbox_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
)

// ownMounts runs a test that mounts in mount and user namespaces of its own,
// where any user may do so. It reports false to the process that has let
// another one run the test.
func ownMounts(t *testing.T) bool {
	t.Helper()
	const marker = "SANDBOX_TEST_OWN_MOUNTS"
	if os.Getenv(marker) != "" {
		return true
	}
	needNamespaces(t)
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v")
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	t.Logf("in namespaces of its own:\n%s", out)
	switch {
	case err != nil:
		t.Error(err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip("it is skipped there")
	}
	return false
}

// disk is a small file system.
type disk struct {
	testing.TB
	dir string
}

// mount makes a small file system for the length of a test.
func mount(t testing.TB, megabytes int) disk {
	t.Helper()
	dir := shortDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk{TB: t, dir: dir}
}

// fill takes all that is left of the disk, and whatever becomes free, until
// release is called.
func (d disk) fill() (release func()) {
	d.Helper()
	path := filepath.Join(d.dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		d.Fatal(err)
	}
	stop, full := make(chan struct{}), make(chan struct{})
	var filler sync.WaitGroup
	filler.Go(func() {
		defer f.Close()
		var once sync.Once
		chunk := make([]byte, 4096)
		for {
			if _, err := f.Write(chunk); err != nil {
				once.Do(func() { close(full) })
				chunk = chunk[:max(1, len(chunk)/2)]
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-full
	var once sync.Once
	release = func() {
		once.Do(func() {
			close(stop)
			filler.Wait()
			if err := os.Remove(path); err != nil {
				d.Error(err)
			}
		})
	}
	d.Cleanup(release)
	return release
}

// ways are the strategies: how each brings its candidate to users, and how it
// takes them back. Live and candidate have three replicas.
var ways = map[string]struct {
	forth func(p place, live, candidate deploy.Revision)
	back  func(p place, live, candidate deploy.Revision)
}{
	"canary": {
		func(p place, _, candidate deploy.Revision) {
			p.must(p.target().Start(p.limited(), candidate))
			p.must(p.target().Split(p.limited(), candidate, 30))
		},
		func(p place, _, candidate deploy.Revision) {
			p.must(p.target().Split(p.limited(), candidate, 0))
		},
	},
	"blue-green": {
		func(p place, _, candidate deploy.Revision) {
			p.must(p.target().Start(p.limited(), candidate))
			p.must(p.target().Switch(p.limited(), candidate))
		},
		func(p place, live, _ deploy.Revision) {
			p.must(p.target().Switch(p.limited(), live))
		},
	},
	"rolling": {
		func(p place, _, candidate deploy.Revision) {
			p.must(p.target().Roll(p.limited(), candidate, deploy.Batch{Candidate: 2, Serving: 2, Live: 2, Total: 3}))
		},
		func(p place, _, candidate deploy.Revision) {
			p.must(p.target().Roll(p.limited(), candidate, deploy.Batch{Candidate: 2, Serving: 0, Live: 2, Total: 2}))
			p.serves("1.0.0")
			p.must(p.target().Roll(p.limited(), candidate, deploy.Batch{Live: 3, Total: 3}))
		},
	},
	"recreate": {
		func(p place, live, candidate deploy.Revision) {
			p.must(p.target().Stop(p.limited(), live))
			p.must(p.target().Start(p.limited(), candidate))
			p.must(p.target().Switch(p.limited(), candidate))
		},
		func(p place, live, candidate deploy.Revision) {
			p.must(p.target().Stop(p.limited(), candidate))
			p.must(p.target().Start(p.limited(), live))
			p.must(p.target().Switch(p.limited(), live))
		},
	},
}

// The disk gets full while users are on the candidate, and something else
// takes every byte that becomes free. The way back needs none: it is written,
// and a sandbox that is killed then remembers it.
func TestTheWayBackNeedsNoDisk(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			d := mount(t, 64)
			b := newBox(t, d.dir)
			b.up()
			p := b.place("production")
			live := p.bring("1.0.0", 3)
			p.write(deploy.PhaseSettled, deploy.Revision{}, live)
			candidate := p.revision("1.1.0", 3)
			p.must(p.target().Lock(p.limited(), owner(), time.Minute))
			p.write(deploy.PhaseShifting, live, candidate)
			way.forth(p, live, candidate)
			p.write(deploy.PhaseHolding, live, candidate)

			release := d.fill()
			p.must(p.target().Lock(p.limited(), owner(), time.Minute))
			p.write(deploy.PhaseReverting, live, candidate)
			way.back(p, live, candidate)
			p.serves("1.0.0")
			p.must(p.target().Stop(p.limited(), candidate))
			p.write(deploy.PhaseSettled, live, candidate)
			p.must(p.target().Unlock(p.limited(), owner()))
			p.isBack(live, candidate)

			b.kill()
			b.up()
			p.ready()
			p.isBack(live, candidate)
			release()
			p.bring("1.2.0", 1)
			p.serves("1.2.0")
		})
	}
}

// isBack checks that nothing is left of a candidate but the history of it.
func (p place) isBack(live, candidate deploy.Revision) {
	p.Helper()
	s := p.state()
	if s.Live == nil || s.Live.ID != live.ID || s.Candidate != nil || s.Share != 0 || s.Lock != nil || s.Record.Unfinished() {
		p.Errorf("the way back is not complete: %s", text(p, s))
	}
	if running, found := s.Find(candidate.ID); found {
		p.Errorf("the candidate runs still: %+v", running.Replicas)
	}
	if running, _ := s.Find(live.ID); running.Ready() != 3 {
		p.Errorf("%d of 3 replicas are ready", running.Ready())
	}
	if n := len(s.History); n != 2 || s.History[1].Candidate.ID != candidate.ID {
		p.Errorf("the history has %d records", n)
	}
	p.serves("1.0.0")
}

func TestAFullDiskRefusesWhatIsNew(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	d := mount(t, 48)
	b := newBox(t, d.dir)
	b.up()
	p := b.place("production")
	a := p.bring("1.0.0", 1)
	next := p.revision("1.1.0", 1)
	large, err := random.Image(1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	before := memory(t, p.state())
	release := d.fill()

	if err := push(b, large); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("push: %v", err)
	}
	for act, err := range map[string]error{
		"start":           p.target().Start(b.limited(), next),
		"new environment": b.place("staging").target().Lock(b.limited(), owner(), time.Minute),
	} {
		if !strings.Contains(fmt.Sprint(err), "no space left on device") || !strings.Contains(deploy.HintOf(err), "free space on the disk") {
			t.Errorf("%s: %v (%s)", act, err, deploy.HintOf(err))
		}
	}
	if after := memory(t, p.state()); after != before {
		t.Errorf("what was refused has changed\n%s to\n%s", before, after)
	}
	// What runs is not held up by a log that has no room.
	if body, err := b.get(p.state().URL + "/say?5000"); err != nil || body != "1.0.0" {
		t.Errorf("the app answers %q, %v", body, err)
	}
	b.kill()
	b.up()
	p.ready()
	if after := memory(t, p.state()); after != before {
		t.Errorf("forgotten\nbefore %s\nafter  %s", before, after)
	}

	release()
	if err := push(b, large); err != nil {
		t.Errorf("push with room again: %v", err)
	}
	p.must(p.target().Start(b.limited(), next))
	p.must(p.target().Switch(b.limited(), next))
	p.must(p.target().Stop(b.limited(), a))
	p.serves("1.1.0")
}

// push brings an image to the sandbox's registry, without trying again.
func push(b *box, img v1.Image) error {
	ref, err := name.NewTag(b.repository() + ":large")
	if err != nil {
		return err
	}
	return remote.Write(ref, img, remote.WithContext(b.limited()), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
}

func TestAFolderThatCannotBeWritten(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	d := mount(t, 1)
	if err := unix.Mount("", d.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	for name, home := range map[string]string{"the folder": d.dir, "the one above": filepath.Join(d.dir, "state")} {
		b := newBox(t, home)
		_, err := sandbox.Up(b.limited(), b.config)
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(deploy.HintOf(err), "SLIPWAY_HOME") {
			t.Errorf("%s: %v (%s)", name, err, deploy.HintOf(err))
		}
	}
}
