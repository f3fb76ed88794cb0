package workshop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Result is what came of one command.
type Result struct {
	// Command is how it was called.
	Command string
	// Code is its exit code.
	Code int
	// Took is from its start to its end.
	Took time.Duration
	// Output is what it printed, where nobody else was given it.
	Output []byte
	// Report is its JSON report; nil where none was asked for or written.
	Report *Report
}

// Exits is an error when the exit code is another one.
func (r Result) Exits(code int) error {
	if r.Code == code {
		return nil
	}
	return fmt.Errorf("%s exits with %d, not %d\n%s", r.Command, r.Code, code, r.Output)
}

// Run runs slipway with arguments and waits for its end. It prints to out; nil
// keeps what is printed in the result. An exit code other than 0 is a result
// and no error. When ctx ends, slipway is interrupted as by Ctrl-C and may take
// users back before it ends.
func (w *Workshop) Run(ctx context.Context, out io.Writer, args ...string) (Result, error) {
	r := Result{Command: "slipway " + strings.Join(args, " ")}
	var kept bytes.Buffer
	if out == nil {
		out = &kept
	}
	cmd := exec.CommandContext(ctx, w.Slipway, args...)
	cmd.Dir, cmd.Env = w.Dir, w.environ
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = closeLimit

	began := time.Now()
	err := cmd.Run()
	r.Took, r.Code, r.Output = time.Since(began), cmd.ProcessState.ExitCode(), kept.Bytes()
	if ctx.Err() != nil {
		return r, fmt.Errorf("%s: interrupted", r.Command)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return r, fmt.Errorf("%s: %w", r.Command, err)
	}
	return r, nil
}

// Deploy runs a command that changes something, and reads its JSON report.
func (w *Workshop) Deploy(ctx context.Context, out io.Writer, args ...string) (Result, error) {
	path := filepath.Join(w.top, "report.json")
	_ = os.Remove(path) // of the command before
	r, err := w.Run(ctx, out, append(args, "--report", path)...)
	if err != nil {
		return r, err
	}
	r.Command = "slipway " + strings.Join(args, " ")
	content, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("%s wrote no report: %w\n%s", r.Command, err, r.Output)
	}
	r.Report = &Report{}
	if err := json.Unmarshal(content, r.Report); err != nil {
		return r, fmt.Errorf("read the report of %s: %w", r.Command, err)
	}
	return r, nil
}

// Query runs a command that prints JSON, and reads that into v.
func (w *Workshop) Query(ctx context.Context, v any, args ...string) error {
	r, err := w.Run(ctx, nil, args...)
	if err == nil {
		err = r.Exits(0)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(r.Output, v); err != nil {
		return fmt.Errorf("read what %s prints: %w", r.Command, err)
	}
	return nil
}
