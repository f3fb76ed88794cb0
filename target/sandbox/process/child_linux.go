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
	return len(os.Args) == 2 && os.Args[0] == childName && os.Getpid() == 1
}

// Child is the init of a replica. It never returns.
func Child() {
	// Capabilities belong to a thread: what gives them up has to be what
	// starts the app.
	runtime.LockOSThread()
	keepToOurselves()
	c := &child{
		control: os.NewFile(controlFD, "control"),
		report:  json.NewEncoder(os.NewFile(reportFD, "report")),
	}
	if err := c.run(); err != nil {
		c.tell(message{Failed: failureOf(err)})
		leave(1)
	}
	leave(0)
}

// leave ends the init at once, and the kernel ends whatever else runs in the
// replica. (os.Exit would stay for a second in tests with the race detector.)
func leave(code int) { unix.Exit(code) }

// child is an init at work.
type child struct {
	control *os.File
	report  *json.Encoder
}

// run builds the replica, runs the app in it, and tells how that ended.
func (c *child) run() error {
	var r request
	if err := json.NewDecoder(c.control).Decode(&r); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if r.Probe {
		return c.probe()
	}
	if err := build(r, func(text string) { c.tell(message{Note: text}) }); err != nil {
		return err
	}
	if err := confine(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	pid, err := execute(r)
	if err != nil {
		return err
	}
	began := time.Now()
	c.tell(message{Started: pid})
	if _, err := c.control.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the caller: %w", err)
	}
	go c.holdOn()
	go forward(signals, pid)
	r = request{} // its environment is the app's business alone from here on
	debug.FreeOSMemory()
	exit := reap(pid, began)
	c.tell(message{Exit: &exit})
	return nil
}

// holdOn ends this init, and with it the whole replica, when the caller is no
// more: the kernel closes the other end of the pipe however it died.
func (c *child) holdOn() {
	_, _ = io.Copy(io.Discard, c.control)
	leave(1)
}

// tell sends a message. A caller that is gone does not hear it, which holdOn
// deals with.
func (c *child) tell(m message) { _ = c.report.Encode(m) }

// probe tries the powers that build needs.
func (c *child) probe() error {
	if err := private(); err != nil {
		return &refused{err}
	}
	if err := unix.Mount("slipway", "/", "tmpfs", 0, "size=4k"); err != nil {
		return &refused{fmt.Errorf("mount a file system: %w", err)}
	}
	if err := unix.Sethostname([]byte("probe")); err != nil {
		return &refused{fmt.Errorf("set the host name: %w", err)}
	}
	c.tell(message{Started: 1})
	_, err := c.control.Read(make([]byte, 1))
	return err
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
