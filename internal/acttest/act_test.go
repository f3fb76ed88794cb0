package acttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// runLimit bounds one run of act.
const runLimit = 15 * time.Minute

// entry is a line of act's log.
type entry struct {
	Message string            `json:"msg"`
	Step    string            `json:"step"`
	Stage   string            `json:"stage"`
	StepID  []string          `json:"stepID"`
	Command string            `json:"command"`
	Name    string            `json:"name"`
	Arg     string            `json:"arg"`
	Pairs   map[string]string `json:"kvPairs"`
	Content string            `json:"content"`
	Result  string            `json:"stepResult"`
	Job     string            `json:"jobResult"`
	// raw is the line as it is.
	raw string
}

// result is what came of one run of a workflow.
type result struct {
	log []entry
	// exit is the error that act ended with.
	exit error
}

// read takes act's log apart.
func read(log []byte) result {
	var r result
	scanner := bufio.NewScanner(bytes.NewReader(log))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		e := entry{raw: scanner.Text()}
		if json.Unmarshal(scanner.Bytes(), &e) != nil {
			e.Message = e.raw
		}
		r.log = append(r.log, e)
	}
	return r
}

// String is the log as a person reads it.
func (r result) String() string {
	var b strings.Builder
	for _, e := range r.log {
		fmt.Fprintf(&b, "%-4s| %s\n", e.Stage, strings.TrimRight(e.Message, "\n"))
	}
	return b.String()
}

// says is all that the steps of a stage (Main or Post) have printed.
func (r result) says(stage string) string {
	var b strings.Builder
	for _, e := range r.log {
		if e.Stage == stage {
			b.WriteString(strings.TrimRight(e.Message, "\n") + "\n")
		}
	}
	return b.String()
}

// succeeded says how the job ended.
func (r result) succeeded() bool {
	for _, e := range r.log {
		if e.Job != "" {
			return e.Job == "success"
		}
	}
	return false
}

// outputs are those of a step.
func (r result) outputs(step string) map[string]string {
	found := map[string]string{}
	for _, e := range r.log {
		if e.Command == "set-output" && len(e.StepID) == 1 && e.StepID[0] == step {
			found[e.Name] = e.Arg
		}
	}
	return found
}

// summary is the job summary.
func (r result) summary() string {
	var b strings.Builder
	for _, e := range r.log {
		if e.Command == "summary" {
			b.WriteString(e.Content)
		}
	}
	return b.String()
}

// annotations are those of a level: error, warning or notice.
func (r result) annotations(level string) []entry {
	var found []entry
	for _, e := range r.log {
		if e.Command == level {
			found = append(found, e)
		}
	}
	return found
}

// act runs the workflow of the scene.
func (s *scene) act(o run) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bench.act, s.arguments(o)...)
	cmd.Dir = s.workspace
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+s.top, "XDG_CACHE_HOME="+filepath.Join(s.top, "cache"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	if o.meanwhile != nil {
		o.meanwhile(cmd.Process)
	}
	err := cmd.Wait()
	r := read(log.Bytes())
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		s.t.Fatalf("act: %v %v\n%s", err, ctx.Err(), r)
	}
	r.exit = err
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", o.event, r)
		}
	})
	return r
}

// run is one run of the scene's workflow.
type run struct {
	event   string
	payload map[string]any
	ref     string
	// secrets besides the token, and what act is told beyond the usual.
	secrets map[string]string
	flags   []string
	// meanwhile is called while act runs.
	meanwhile func(act *os.Process)
	// red: the job has to fail.
	red bool
	// rebuild lets act build the action first.
	rebuild bool
}

func (s *scene) arguments(o run) []string {
	payload, err := json.Marshal(o.payload)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.top, "event.json"), payload, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{
		o.event, "--json", "--rm", "--pull=false", "--rebuild=" + strconv.FormatBool(o.rebuild), "--no-cache-server", "--bind",
		"--platform", "ubuntu-latest=" + runnerName,
		"--local-repository", action + "=" + s.bench.source,
		"--eventpath", filepath.Join(s.top, "event.json"),
		// As GitHub's runner does: HOME is a folder of the job's own.
		"--env", "HOME=/github/home", "--container-options", "--volume=" + s.home + ":/github/home",
		"--env", "GITHUB_API_URL=" + s.hub.url,
		"--env", "GITHUB_REPOSITORY=" + repository,
		"--env", "GITHUB_REF=" + o.ref,
		"--env", "SHA_REF=" + s.sha,
		"--env", "GITHUB_RUN_ID=" + strconv.Itoa(s.nextRun()),
		"--secret", "GITHUB_TOKEN=" + token,
	}
	for name, value := range o.secrets {
		args = append(args, "--secret", name+"="+value)
	}
	return append(args, o.flags...)
}
