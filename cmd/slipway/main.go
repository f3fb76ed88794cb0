// Command slipway brings a commit to its users, and back if it must. It is the
// one place that knows every room: it reads flags, inputs and environment,
// wires the parts, and turns outcomes into exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"

	"github.com/slipway-ci/slipway/target/sandbox/process"
)

func main() {
	if process.IsChild() {
		process.Child()
	}
	os.Exit(run(os.Executable))
}

// run makes the command line of this process. The signals stay caught until
// the end: a second one must not kill a way back that is under way. Nor must a
// reader who has seen enough, as in `slipway release | head -1`: a broken pipe
// is an error of the write, and the deployment goes on.
func run(executable func() (string, error)) int {
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	defer stop()
	// Also between stop and the exit, where the default would turn a release
	// that has ended well into one that was killed.
	signal.Notify(make(chan os.Signal, 1), append(interrupts(), syscall.SIGPIPE)...)
	c := CLI{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ(), Executable: executable,
		Terminal: term.IsTerminal(int(os.Stdout.Fd())), Width: width(),
	}
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == settleName {
		args = []string{"settle", "--after-job"}
	}
	return c.Main(ctx, args)
}

// interrupts are the signals that end a run: users who are half-way are brought
// back first. A closed terminal is one of them, unless nohup says otherwise.
func interrupts() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// settleName is the name under which the container is entered after a job:
// GitHub gives a post-entrypoint no arguments.
const settleName = "slipway-settle"

func width() int {
	columns, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
