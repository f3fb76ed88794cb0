package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// childName is the init's argv[0]: what tells it what it is, and what ps
	// shows.
	childName = "slipway-replica"
	// startLimit bounds the time until the app is executed.
	startLimit = 30 * time.Second
	// killLimit bounds the wait for a process that was killed and does not go,
	// as one that waits for a dead file server does.
	killLimit = 10 * time.Second
)

// namespaces are those that a replica has of its own. Kernels built without
// control groups know no namespace of them.
func namespaces() uintptr {
	flags := uintptr(unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC)
	if _, err := os.Lstat("/proc/self/ns/cgroup"); err == nil {
		flags |= unix.CLONE_NEWCGROUP
	}
	return flags
}

// Process is a running replica: the app, whatever it started, and its init.
// Its methods may be called from several goroutines.
type Process struct {
	isolation Isolation
	cmd       *exec.Cmd
	control   *os.File
	report    *os.File
	messages  *json.Decoder
	log       output
	began     time.Time
	pid       int
	// user is whom all but the init run as; with Namespaces it is 0, the
	// init's own.
	user    int
	drained chan struct{}
	done    chan struct{}
	exit    Exit // written before done is closed
}

// Start runs a replica and returns once its app has been executed. An app that
// cannot be executed is an ErrImage with a hint. The context bounds the start
// alone, which takes 30 seconds at most.
func Start(ctx context.Context, s Spec) (*Process, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.ID, err)
	}
	isolation, err := choose(ctx)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.ID, err)
	}
	log := output(nowhere{io.Discard})
	if s.Log != nil {
		log = s.Log
	}
	p, err := start(ctx, isolation, s.request(), log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.ID, err)
	}
	return p, nil
}

// output takes what a replica writes, and what is to be said of it.
type output interface {
	io.Writer
	note(text string)
}

// nowhere is the output of a replica without a Log.
type nowhere struct{ io.Writer }

func (nowhere) note(string) {}

// PID is the app's process ID on the host.
func (p *Process) PID() int { return p.pid }

// Done is closed when the app has ended, was reaped, everything else in the
// replica is gone, and all that it wrote is in the log.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit tells how the app ended; it is to be asked after Done.
func (p *Process) Exit() Exit {
	select {
	case <-p.done:
		return p.exit
	default:
		return Exit{Code: -1}
	}
}

// Stop asks the app to end by SIGTERM, kills it after the grace (at once if
// that is zero), and returns when everything in the replica is gone. One that
// has ended already is fine.
func (p *Process) Stop(grace time.Duration) Exit {
	if grace > 0 && p.cmd.Process.Signal(syscall.SIGTERM) == nil && p.wait(grace) {
		return p.exit
	}
	p.kill()
	if p.wait(killLimit) || p.insist() {
		return p.exit
	}
	// In the kernel's hands; it will not run again.
	return Exit{Code: -1, Signal: "SIGKILL", After: time.Since(p.began)}
}

// wait reports whether the replica ended within the limit.
func (p *Process) wait(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// kill ends the replica. With namespaces it ends the init; the kernel then
// kills everything else in there before the init is reaped. Otherwise the init
// does that.
func (p *Process) kill() {
	if p.isolation == Chroot {
		_ = p.control.Close()
		return
	}
	_ = p.cmd.Process.Kill() // an error means that it has ended
}

// insist ends an init that was asked to end its replica and has not; own then
// ends the rest.
func (p *Process) insist() bool {
	if p.isolation == Namespaces {
		return false // it was killed
	}
	_ = p.cmd.Process.Kill()
	return p.wait(killLimit)
}

// errUnhooked is for programs that would start themselves for ever.
var errUnhooked = errors.New("main has to call process.IsChild before it starts a replica")

// start makes a replica, or a probe of one, and hands it to own.
func start(ctx context.Context, isolation Isolation, r request, log output) (*Process, error) {
	if !hooked.Load() {
		return nil, errUnhooked
	}
	p, err := spawn(isolation, r.ID, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	disarm := context.AfterFunc(ctx, p.kill)
	err = p.begin(r)
	if !disarm() {
		err = late(ctx, time.Since(p.began))
	}
	go p.own()
	if err != nil {
		p.Stop(0)
		return nil, err
	}
	return p, nil
}

// late says why a start was given up.
func late(ctx context.Context, after time.Duration) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("timed out after %s waiting for the replica to be built", span(after))
	}
	return fmt.Errorf("interrupted after %s while the replica was built", span(after))
}

// spawn runs this executable again as an init.
func spawn(isolation Isolation, id string, log output) (*Process, error) {
	var files pipes
	defer files.closeTheirs()
	control, theirControl := files.open(false)
	report, theirReport := files.open(true)
	output, theirOutput := files.open(true)
	if files.err != nil {
		files.closeOurs()
		return nil, fmt.Errorf("open a pipe: %w", files.err)
	}
	cmd := command(isolation, id)
	cmd.Stdout, cmd.Stderr = theirOutput, theirOutput
	cmd.ExtraFiles = []*os.File{theirControl, theirReport} // controlFD, reportFD
	if err := cmd.Start(); err != nil {
		files.closeOurs()
		return nil, denied(err)
	}
	p := &Process{
		isolation: isolation,
		cmd:       cmd, control: control, report: report, messages: json.NewDecoder(report),
		log: log, began: time.Now(), drained: make(chan struct{}), done: make(chan struct{}),
	}
	if isolation == Chroot {
		p.user, _ = userOf(cmd.Process.Pid) // an error the init tells
	}
	go p.drain(output)
	return p, nil
}

// command is this executable as an init. Its environment keeps the Go runtime
// in it small, and holds nothing else.
func command(isolation Isolation, id string) *exec.Cmd {
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{childName, id},
		Env:         childEnv,
		Dir:         "/",
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // a Ctrl-C at the caller's terminal is not for replicas
	}
	if isolation == Chroot {
		cmd.Args = append(cmd.Args, string(Chroot))
		return cmd
	}
	cmd.SysProcAttr.Cloneflags = namespaces()
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	return cmd
}

// begin hands over the request and waits until the app is executed.
func (p *Process) begin(r request) error {
	if err := json.NewEncoder(p.control).Encode(r); err != nil {
		return p.early(err)
	}
	for {
		var m message
		if err := p.messages.Decode(&m); err != nil {
			return p.early(err)
		}
		switch {
		case m.Note != "":
			p.log.note(m.Note)
		case m.Failed != nil:
			return m.Failed.err()
		case m.Started != 0:
			return p.acknowledge(m.Started)
		}
	}
}

// early is the error of an init that is gone before it has told anything.
func (p *Process) early(err error) error {
	return fmt.Errorf("the init of the replica ended early (%w); its log may tell more", err)
}

// acknowledge finds the app among the host's processes and lets the init go
// on. Up to then the init does not reap the app, so that it can be found even
// if it has ended.
func (p *Process) acknowledge(inside int) error {
	pid, err := outside(p.cmd.Process.Pid, inside)
	if err != nil {
		return err
	}
	p.pid = pid
	if _, err := p.control.Write([]byte{confirmation}); err != nil {
		return p.early(err)
	}
	return nil
}

// own is the one goroutine that waits for the replica.
func (p *Process) own() {
	defer close(p.done)
	exit, told := p.last()
	if !told && p.user != 0 {
		p.awaitInit()
		sweep(p.user)
	}
	err := p.cmd.Wait()
	<-p.drained
	_ = p.control.Close()
	_ = p.report.Close()
	if !told {
		exit = exitOf(p.cmd.ProcessState, err, time.Since(p.began))
	}
	p.exit = exit
}

// awaitInit waits for the init's end, and leaves it as it is: up to its burial
// no other process has its number, nor then another replica its user.
func (p *Process) awaitInit() {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// last reads what the init tells until it ends.
func (p *Process) last() (Exit, bool) {
	for {
		var m message
		if err := p.messages.Decode(&m); err != nil {
			return Exit{}, false
		}
		if m.Exit != nil {
			return *m.Exit, true
		}
	}
}

// drain moves what the replica writes into the log. It goes on when the log
// fails, as on a full disk: a replica must not hang because of its log.
func (p *Process) drain(output *os.File) {
	defer close(p.drained)
	defer func() { _ = output.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := output.Read(buffer)
		_, _ = p.log.Write(buffer[:n])
		if err != nil {
			return
		}
	}
}

// exitOf is the exit of an init that could not tell about its app any more.
func exitOf(state *os.ProcessState, err error, after time.Duration) Exit {
	if state == nil {
		return Exit{Code: -1, Signal: fmt.Sprintf("an unknown cause (%v)", err), After: after}
	}
	return exitFrom(state.Sys().(syscall.WaitStatus), after)
}

// exitFrom translates what the kernel says of an ended process.
func exitFrom(status syscall.WaitStatus, after time.Duration) Exit {
	if !status.Signaled() {
		return Exit{Code: status.ExitStatus(), After: after}
	}
	name := unix.SignalName(status.Signal())
	if name == "" {
		name = fmt.Sprintf("signal %d", status.Signal())
	}
	return Exit{Code: -1, Signal: name, After: after}
}

// err rebuilds the error that the init sent.
func (f *failure) err() error {
	err := errors.New(f.Text)
	if f.Image {
		err = imageError(f.Text)
	}
	if f.Denied {
		return denied(err)
	}
	if f.Hint != "" {
		return deploy.Hinted(err, "%s", f.Hint)
	}
	return err
}

// imageError is an ErrImage that reads as its text alone.
type imageError string

func (e imageError) Error() string        { return string(e) }
func (e imageError) Is(target error) bool { return target == ErrImage }

// hooked tells that main asks IsChild. Without it, the executable that Start
// runs again would do its normal work, and start itself for ever.
var hooked atomic.Bool

// pipes opens pairs of files and remembers which end is whose.
type pipes struct {
	ours, theirs []*os.File
	err          error
}

// open returns our end and theirs; we read if reading is set, else we write.
func (p *pipes) open(reading bool) (ours, theirs *os.File) {
	if p.err != nil {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		p.err = err
		return nil, nil
	}
	ours, theirs = w, r
	if reading {
		ours, theirs = r, w
	}
	p.ours, p.theirs = append(p.ours, ours), append(p.theirs, theirs)
	return ours, theirs
}

func (p *pipes) closeOurs()   { closeAll(p.ours) }
func (p *pipes) closeTheirs() { closeAll(p.theirs) }

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
