package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// Limits of the start and the end of the background process.
const (
	upLimit   = 10 * time.Second
	downLimit = 30 * time.Second
	pollEvery = 20 * time.Millisecond
	// printTail is how much of it an error shows, in bytes.
	printTail = 2 << 10
)

// Up connects to the sandbox, and starts it where it does not run. It waits 10
// seconds at most until the sandbox answers.
func Up(ctx context.Context, c Config) (*Client, error) {
	client, err := Connect(ctx, c)
	if !down(err) {
		return client, err
	}
	if err := process.Supported(); err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upLimit, fmt.Errorf("timed out after %s waiting for the sandbox to answer", upLimit))
	defer cancel()
	client, err = start(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	return client, nil
}

// start starts the background process, unless somebody else has done so in the
// meantime, and waits for it.
func start(ctx context.Context, c Config) (*Client, error) {
	home, err := c.home()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(string(home), 0o700); err != nil {
		return nil, deploy.Hinted(fmt.Errorf("make the state folder: %w", err), "set SLIPWAY_HOME to a folder that can be written")
	}
	turn, err := takeTurn(ctx, home)
	if err != nil {
		return nil, err
	}
	defer func() { _ = turn.Close() }()
	if client, err := vacant(ctx, c, home); client != nil || err != nil {
		return client, err
	}
	begun, err := spawn(c, home)
	if err != nil {
		return nil, err
	}
	return await(ctx, c, begun)
}

// down reports whether nothing runs, or what ran has ended while it was asked.
func down(err error) bool { return errors.Is(err, ErrDown) || errors.Is(err, errEnded) }

// vacant waits until nobody has the state folder: a process that ends its
// replicas, or that was killed just now, has it for a while after it stopped
// to answer. Where one answers after all, its client is given back.
func vacant(ctx context.Context, c Config, home wire.Home) (*Client, error) {
	for held := false; ; held = true {
		client, err := Connect(ctx, c)
		if held && err != nil && ctx.Err() != nil { // the time may end while it is asked, too
			return nil, stuck(home, context.Cause(ctx))
		}
		if !down(err) {
			return client, err
		}
		lock, free, err := wire.TryLock(home.LockFile())
		if err != nil {
			return nil, err
		}
		if free {
			return nil, lock.Close()
		}
		if err := pause(ctx); err != nil {
			return nil, stuck(home, err)
		}
	}
}

// stuck is the error of a process that has the state folder and does not answer.
func stuck(home wire.Home, err error) error {
	return deploy.Hinted(fmt.Errorf("a sandbox that does not answer has %s: %w", home, err),
		"%s says what it is doing; kill %s ends it, and slipway sandbox up brings back what ran", home.LogFile(), wire.Signed(home.LockFile()))
}

// takeTurn waits until nobody else is starting the process.
func takeTurn(ctx context.Context, home wire.Home) (*os.File, error) {
	for {
		turn, taken, err := wire.TryLock(home.StartFile())
		if err != nil || taken {
			return turn, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// await polls until the process answers, has ended, or ctx ends.
func await(ctx context.Context, c Config, begun *begun) (*Client, error) {
	defer begun.release()
	for {
		client, err := Connect(ctx, c)
		if !down(err) {
			return client, err
		}
		if begun.ended() {
			return nil, deploy.Hinted(errors.New("the background process has ended"), "it printed: %s", begun.printed())
		}
		if err := pause(ctx); err != nil {
			return nil, deploy.Hinted(err, "%s says what it is doing", begun.log)
		}
	}
}

// pause waits a moment.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollEvery):
		return nil
	}
}

// begun is a background process that was just started.
type begun struct {
	process *os.Process
	log     string
	// offset is where its part of the log begins.
	offset int64
}

// spawn starts the background process in a session of its own.
func spawn(c Config, home wire.Home) (*begun, error) {
	executable, err := filepath.Abs(c.Executable)
	if c.Executable == "" || err != nil {
		return nil, errors.New("it is not known which program to start")
	}
	out, err := os.OpenFile(home.LogFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open its log: %w", err)
	}
	defer func() { _ = out.Close() }()
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open its input: %w", err)
	}
	defer func() { _ = in.Close() }()
	b := &begun{log: home.LogFile()}
	if info, err := out.Stat(); err == nil {
		b.offset = info.Size()
	}
	b.process, err = os.StartProcess(executable, []string{executable, "sandbox", "serve", "--home", string(home)},
		&os.ProcAttr{Dir: "/", Files: []*os.File{in, out, out}, Sys: detached()})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", executable, err)
	}
	return b, nil
}

// printed is the end of what the process has printed.
func (b *begun) printed() string {
	content, err := os.ReadFile(b.log)
	if err != nil {
		return err.Error()
	}
	content = content[min(b.offset, int64(len(content))):]
	content = content[max(0, len(content)-printTail):]
	return strings.TrimSpace(string(content))
}

// release lets the process go on alone.
func (b *begun) release() { _ = b.process.Release() }

// Down ends the sandbox and all replicas, and keeps what is on disk: Up brings
// back what ran. It returns when the process has ended.
func (c *Client) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, downLimit, fmt.Errorf("timed out after %s waiting for the sandbox to end", downLimit))
	defer cancel()
	if err := c.call(ctx, "POST", wire.PathDown, nil, nil); err != nil && !errors.Is(err, ErrDown) {
		return fmt.Errorf("end the sandbox: %w", err)
	}
	for {
		lock, free, err := wire.TryLock(c.home.LockFile())
		if err != nil {
			return fmt.Errorf("end the sandbox: %w", err)
		}
		if free {
			return lock.Close()
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("end the sandbox: %w", stuck(c.home, err))
		}
	}
}

// Down ends the sandbox of a state folder, also one that another version of
// slipway has started. ErrDown when none runs.
func Down(ctx context.Context, c Config) error {
	home, err := c.home()
	if err != nil {
		return err
	}
	client := newClient(home)
	if _, err := client.greet(ctx); err != nil {
		return err
	}
	return client.Down(ctx)
}
