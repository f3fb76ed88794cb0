package dockerfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"github.com/slipway-ci/slipway/deploy"
)

// Failed means that a step of a Dockerfile has failed, or that the Dockerfile
// cannot be understood.
type Failed struct {
	// File and Line are the place in the Dockerfile; Line counts from 1, and is
	// 0 where it is not known.
	File string
	Line int
	// Step is what the builder calls it; may be empty.
	Step string
	// Reason is one sentence.
	Reason string
	// Log are the last lines that the step wrote, oldest first, at most 20.
	Log []string
}

// Error says where, what and why.
func (f *Failed) Error() string {
	if f.Step == "" {
		return f.at(f.Reason)
	}
	return f.at(short(f.Step) + ": " + f.Reason)
}

func (f *Failed) at(text string) string {
	if f.Line == 0 {
		return text
	}
	return place(f.File, f.Line) + ": " + text
}

// shortStep is how much of a long instruction a message names, in characters;
// the line says where all of it is.
const shortStep = 80

func short(step string) string {
	if runes := []rune(step); len(runes) > shortStep {
		return string(runes[:shortStep]) + "…"
	}
	return step
}

func place(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }

// explain makes of what the builder answered an error for people, and tells the
// failing step with its last lines.
func (p *progress) explain(ctx context.Context, spec Spec, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted while the image was built: %w", context.Cause(ctx))
	}
	f := &Failed{File: spec.Path, Reason: reason(err)}
	if sources := errdefs.Sources(err); len(sources) > 0 {
		if ranges := sources[0].GetRanges(); len(ranges) > 0 {
			f.Line = int(ranges[0].GetStart().GetLine())
		}
	}
	s := p.failed()
	if s == nil {
		return withHint(f, err)
	}
	f.Step, f.Reason, f.Log = s.name, reason(errors.New(s.err)), s.lines()
	if s.hidden() {
		f.Step = ""
	}
	if f.Line == 0 {
		f.Line = spec.lineOf(s.name)
	}
	p.tell(deploy.Event{
		Kind: deploy.Building, Message: s.name, Took: s.took, Build: &deploy.BuildStep{State: deploy.BuildFailed},
		Evidence: &deploy.Evidence{Reason: f.at(f.Reason), Log: f.Log},
	})
	return withHint(f, err)
}

// reason is an answer in one line, without what every answer begins with.
func reason(err error) string {
	text := strings.TrimPrefix(err.Error(), "failed to solve: ")
	for _, prefix := range []string{"rpc error: code = Unknown desc = ", "rpc error: code = InvalidArgument desc = ", "failed to solve: ", "failed to solve with frontend dockerfile.v0: ", "failed to create LLB definition: ", "dockerfile parse error on "} {
		text = strings.TrimPrefix(text, prefix)
	}
	text = strings.Join(strings.Fields(text), " ")
	if m := exited.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return text
}

// exited matches how builders say that a command has failed: with the command,
// which is the name of the step already.
var exited = regexp.MustCompile(`^(?:process ".*" did not complete successfully|executor failed running \[.*\]): (exit code: \d+)$`)

// lineOf finds the instruction that a step is called by, for builders that do
// not say where it is; 0 where there is none.
func (s Spec) lineOf(step string) int {
	_, instruction, found := strings.Cut(step, "] ")
	if !found {
		return 0
	}
	content, err := os.ReadFile(filepath.Join(s.Dir, s.Path))
	if err != nil {
		return 0
	}
	parsed, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return 0
	}
	want := strings.Join(strings.Fields(instruction), " ")
	for _, node := range parsed.AST.Children {
		if strings.Join(strings.Fields(node.Original), " ") == want {
			return node.StartLine
		}
	}
	return 0
}

func withHint(f *Failed, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "exec format error"):
		return deploy.Hinted(f, "the builder cannot run programs of that platform: use docker/setup-qemu-action before, "+
			"or cross-compile in a stage FROM --platform=$BUILDPLATFORM")
	case strings.Contains(text, "multiple platforms feature is currently not supported"), strings.Contains(text, "Multi-platform"):
		return deploy.Hinted(f, "%s", severalHint)
	case grpcerrors.Code(err) == codes.Unavailable:
		return deploy.Hinted(f, "the builder went away: look at its log, and run it again")
	case len(f.Log) > 0:
		return deploy.Hinted(f, "the log has the last lines of the step")
	}
	return f
}

const severalHint = "the image store of this Docker engine holds one platform an image: use docker/setup-buildx-action, " +
	"or name a BuildKit in build.builder"
