package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// IsChild reports whether this process was started to be the init of a
// replica. Every main, and every TestMain, whose program starts replicas has
// to ask before it does anything else; Start refuses to work otherwise.
func IsChild() bool {
	hooked.Store(true)
	if len(os.Args) < 2 || os.Args[0] != childName {
		return false
	}
	return isolationOfChild() == Chroot || len(os.Args) == 2 && os.Getpid() == 1
}

// isolationOfChild is what the command line of an init says. It is process 1
// with namespaces alone, and so has to be told otherwise.
func isolationOfChild() Isolation {
	if len(os.Args) == 3 && os.Args[2] == string(Chroot) {
		return Chroot
	}
	return Namespaces
}

// Child is the init of a replica. It never returns.
func Child() {
	// Capabilities belong to a thread: what gives them up has to be what
	// starts the app.
	runtime.LockOSThread()
	keepToOurselves()
	c := &child{
		isolation: isolationOfChild(),
		control:   os.NewFile(controlFD, "control"),
		report:    json.NewEncoder(os.NewFile(reportFD, "report")),
		confirmed: make(chan struct{}),
	}
	exit, err := c.run()
	c.clear()
	if err != nil {
		c.tell(message{Failed: failureOf(err)})
		c.leave(1)
	}
	c.tell(message{Exit: exit})
	c.leave(0)
}

// child is an init at work.
type child struct {
	isolation Isolation
	control   *os.File
	report    *json.Encoder
	// confirmed is closed when the caller knows the app, or is gone.
	confirmed chan struct{}
	// user is whom the app runs as, root its copy of the image: with Chroot.
	user int
	root *rootCopy

	// starting is held while the app is being executed.
	starting sync.Mutex
	// gone: the caller is no more, or wants no more of the replica.
	gone bool
}

// run builds the replica, and runs the app in it until that has ended.
func (c *child) run() (*Exit, error) {
	var r request
	if err := json.NewDecoder(c.control).Decode(&r); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if c.isolation == Chroot {
		if err := c.adopt(); err != nil {
			return nil, &refused{err}
		}
	}
	go c.holdOn()
	if r.Probe {
		return nil, c.probe()
	}
	stdin, err := c.build(r)
	if err != nil {
		return nil, err
	}
	if err := confine(c.isolation); err != nil {
		return nil, err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	pid, err := c.execute(r, stdin)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	c.tell(message{Started: pid})
	<-c.confirmed
	go forward(signals, pid)
	r = request{} // its environment is the app's business alone from here on
	debug.FreeOSMemory()
	exit := reap(pid, began)
	return &exit, nil
}

// adopt makes this process the parent of all orphans among its descendants, as
// process 1 is without being told, and knows them by their user.
func (c *child) adopt() (err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopt orphans: %w", err)
	}
	c.user, err = userOf(os.Getpid())
	return err
}

// build makes the app's world, and opens what it has as stdin.
func (c *child) build(r request) (stdin *os.File, err error) {
	note := func(text string) { c.tell(message{Note: text}) }
	if c.isolation == Namespaces {
		if err := build(r, note); err != nil {
			return nil, err
		}
		return openNull()
	}
	if stdin, err = openNull(); err != nil { // the replica may have no devices
		return nil, err
	}
	c.root, err = settle(r, note, c.unwanted)
	return stdin, err
}

func openNull() (*os.File, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open stdin: %w", err)
	}
	return null, nil
}

// execute starts the app, unless nobody wants it any more.
func (c *child) execute(r request, stdin *os.File) (int, error) {
	defer func() { _ = stdin.Close() }()
	c.starting.Lock()
	defer c.starting.Unlock()
	if c.gone {
		return 0, errUnwanted
	}
	return execute(r, stdin, c.user)
}

// errUnwanted ends a start of which the caller does not want to know any more.
var errUnwanted = errors.New("the caller is gone")

// unwanted is an error once nobody wants the replica any more.
func (c *child) unwanted() error {
	c.starting.Lock()
	defer c.starting.Unlock()
	if c.gone {
		return errUnwanted
	}
	return nil
}

// holdOn ends the whole replica when the caller is no more, or closes his end
// of the pipe: the kernel does that for him however he died.
func (c *child) holdOn() {
	heard := make([]byte, 1)
	for heard[0] != confirmation { // a line end may be left of the request
		if _, err := c.control.Read(heard); err != nil {
			break
		}
	}
	close(c.confirmed)
	_, _ = io.Copy(io.Discard, c.control)
	c.abandon()
}

// abandon ends whatever runs in the replica, at once.
func (c *child) abandon() {
	if c.isolation == Namespaces {
		unix.Exit(1)
	}
	c.starting.Lock()
	defer c.starting.Unlock()
	c.gone = true
	if c.user != 0 && killAllOf(c.user) != nil {
		unix.Exit(1) // the kernel then ends the app at least
	}
}

// clear ends and reaps what the app has left. In a namespace the kernel does
// that once this process has left.
func (c *child) clear() {
	if c.isolation == Namespaces || c.user == 0 || killAllOf(c.user) != nil {
		return
	}
	for {
		_, err := syscall.Wait4(-1, nil, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) { // none is left
			return
		}
	}
}

// leave ends the init at once, and in a namespace the kernel ends whatever
// else runs in the replica. (os.Exit would stay for a second in tests with the
// race detector.)
func (c *child) leave(code int) {
	if c.root != nil {
		_ = c.root.remove() // or the next replica of this image does it
	}
	unix.Exit(code)
}

// tell sends a message. A caller that is gone does not hear it, which holdOn
// deals with.
func (c *child) tell(m message) { _ = c.report.Encode(m) }

// probe tries the powers that build needs.
func (c *child) probe() error {
	try := probeNamespaces
	if c.isolation == Chroot {
		try = func() error { return probeChroot(c.user) }
	}
	if err := try(); err != nil {
		return &refused{err}
	}
	c.tell(message{Started: os.Getpid()})
	<-c.confirmed
	return nil
}

// probeNamespaces tries what is refused in some namespaces.
func probeNamespaces() error {
	if err := private(); err != nil {
		return err
	}
	if err := unix.Mount("slipway", "/", "tmpfs", 0, "size=4k"); err != nil {
		return fmt.Errorf("mount a file system: %w", err)
	}
	if err := unix.Sethostname([]byte("probe")); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return nil
}

// forward passes signals on to the app, for as long as this process lives.
func forward(signals <-chan os.Signal, pid int) {
	for s := range signals {
		_ = syscall.Kill(pid, s.(syscall.Signal))
	}
}

// reap collects ended processes, orphans among them, until the app has ended.
func reap(pid int, began time.Time) Exit {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil { // no child left: the app was reaped by nobody but us
			return Exit{Code: -1, After: time.Since(began)}
		}
		if ended == pid {
			return exitFrom(status, time.Since(began))
		}
	}
}

// refused is an error that the machine's settings explain.
type refused struct{ error }

func (r *refused) Unwrap() error { return r.error }

// failureOf prepares an error for its way to the caller.
func failureOf(err error) *failure {
	var r *refused
	return &failure{
		Text:   err.Error(),
		Hint:   deploy.HintOf(err),
		Image:  errors.Is(err, ErrImage),
		Denied: errors.As(err, &r),
	}
}
