package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge/githubtest"
	"github.com/slipway-ci/slipway/target/sandbox"
)

// patience bounds every wait for a condition: longer than any machine needs.
const patience = 60 * time.Second

// TestScripts runs the command line as a user does: one process a command, with
// a sandbox of its own for each script. Besides what testscript has, a script
// can say
//
//	exits CODE ARGUMENT...      slipway ends with this code
//	begin ARGUMENT...           slipway runs in the background ...
//	send SIGNAL                 ... is sent INT, TERM, HUP or KILL ...
//	ends CODE                   ... and ends with this code (-1: by the signal)
//	await ENVIRONMENT FACT...   waits until all facts hold; see fact
//	visit ENVIRONMENT           users begin to send requests to hello ...
//	unharmed [VERSION]          ... of which none was lost nor failed, but for
//	                            errors of that version itself
//	worsen ENVIRONMENT          makes HELLO_LATE bad, and lets users notice
//	get ENVIRONMENT             prints what hello answers, once it does
//	field NAME FILE PATH        sets a variable from JSON: environments.0.url
//	occupy NAME [ADDRESS]       takes a port and sets a variable to it; ADDRESS
//	                            may be a URL
//	vacate                      frees the ports that were taken
//	crash                       kills the background process of the sandbox
//	unsaid VALUE                the last output does not hold the value
//	nowhere VALUE PATH [NAME]   no file at or below the path holds the value,
//	                            but for those of the name
//	private PATH                nobody but its owner can read it
//	described FILE              the JSON report is as its schema says
//	registry NAME               starts an empty registry and sets a variable to
//	                            its host and port
//
// and, for what runs on GitHub, onrunner, github, atgithub, refuse, protect,
// approve, pull and output.
//
//	git init|commit [MESSAGE]|tag NAME|branch NAME [AT]    makes a repository of the working folder
func TestScripts(t *testing.T) {
	needSandbox(t)
	paths := needBinaries(t)
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error { return setStage(t, env, paths) },
		Cmds:  scriptCommands(),
	})
}

// setStage gives a script a home of its own, and the programs.
func setStage(t *testing.T, env *testscript.Env, paths map[string]string) error {
	env.Setenv("SLIPWAY_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("USER", "tester")
	for name, path := range paths {
		env.Setenv(name, path)
	}
	s := &stage{t: t, home: filepath.Join(env.WorkDir, "state")}
	env.Values[stageKey] = s
	env.Defer(s.clear)
	return nil
}

// scriptCommands are what a script can say.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "begin": begin, "send": send, "ends": ends, "await": await, "visit": visit, "unharmed": unharmed,
		"worsen": worsen, "get": get, "field": field, "occupy": occupy, "vacate": vacate, "crash": crash, "git": gitCommand,
		"onrunner": onRunner, "github": github, "atgithub": atGitHub, "refuse": refuse, "output": output,
		"protect": protect, "approve": approve, "pull": pull,
		"unsaid": unsaid, "nowhere": nowhere, "private": private, "described": described,
		"registry": startRegistry,
	}
}

// stage is what a script has set up besides files.
type stage struct {
	t    *testing.T
	home string
	// background is the slipway that runs, and out what it prints.
	background *exec.Cmd
	out        bytes.Buffer
	users      *users
	held       []net.Listener
	registries []*httptest.Server
	github     *githubtest.Server
}

// stageKey is where testscript keeps it.
const stageKey = "stage"

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey).(*stage) }

// clear ends everything, so that no process outlives the script.
func (s *stage) clear() {
	if s.background != nil {
		_ = s.background.Process.Kill()
		_ = s.background.Wait()
	}
	if s.users != nil {
		s.users.end()
	}
	for _, l := range s.held {
		_ = l.Close()
	}
	for _, r := range s.registries {
		r.CloseClientConnections()
		r.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := sandbox.Down(ctx, sandbox.Config{Home: s.home}); err != nil && !errors.Is(err, sandbox.ErrDown) {
		s.t.Errorf("end the sandbox in %s: %v", s.home, err)
	}
}

// state reads an environment of the app hello.
func (s *stage) state(environment string) (deploy.State, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := sandbox.Connect(ctx, sandbox.Config{Home: s.home})
	if err != nil {
		return deploy.State{}, err
	}
	return client.Target("hello", deploy.Environment{Name: environment}).State(ctx)
}

// environ writes its environment into a file, as JSON.
func environ() {
	content, err := json.Marshal(os.Environ())
	if err == nil {
		err = os.WriteFile(os.Args[1], content, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: exits CODE ARGUMENT...")
	}
	err := ts.Exec("slipway", args[1:]...)
	code, err := exitCodeOf(err)
	ts.Check(err)
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("slipway %s exits with %d, not %s", strings.Join(args[1:], " "), code, args[0])
	}
}

func exitCodeOf(err error) (int, error) {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func begin(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) == 0 || s.background != nil {
		ts.Fatalf("usage: begin ARGUMENT..., one at a time")
	}
	ts.Check(ts.Exec("environ", ".environ"))
	var environment []string
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(".environ")), &environment))
	path, err := asSlipway()
	ts.Check(err)
	s.out.Reset()
	s.background = exec.Command(path, args...)
	s.background.Dir, s.background.Env = ts.MkAbs("."), environment
	s.background.Stdout, s.background.Stderr = &s.out, &s.out
	ts.Check(s.background.Start())
}

var signals = map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": os.Kill}

func send(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) != 1 || signals[args[0]] == nil || s.background == nil {
		ts.Fatalf("usage: send INT|TERM|HUP|KILL, after begin")
	}
	ts.Check(s.background.Process.Signal(signals[args[0]]))
}

func ends(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) != 1 || s.background == nil {
		ts.Fatalf("usage: ends CODE, after begin")
	}
	late := time.AfterFunc(patience, func() { _ = s.background.Process.Kill() })
	code, err := exitCodeOf(s.background.Wait())
	ts.Check(err)
	s.background = nil
	_, _ = io.Copy(ts.Stdout(), &s.out)
	switch {
	case !late.Stop():
		ts.Fatalf("it did not end within %s", patience)
	case strconv.Itoa(code) != args[0]:
		ts.Fatalf("it exits with %d, not %s", code, args[0])
	}
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await ENVIRONMENT FACT...")
	}
	var missing string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		state, err := s.state(args[0])
		if err != nil {
			missing = err.Error()
			continue
		}
		if missing = firstMissing(ts, state, args[1:]); missing == "" {
			return
		}
	}
	ts.Fatalf("%s: %s, after %s", args[0], missing, patience)
}

func firstMissing(ts *testscript.TestScript, state deploy.State, facts []string) string {
	for _, f := range facts {
		name, want, _ := strings.Cut(f, "=")
		got, known := fact(state, name)
		if !known {
			ts.Fatalf("there is no fact %q", name)
		}
		if got != want {
			return fmt.Sprintf("%s is %s, not %s", name, got, want)
		}
	}
	return ""
}

// fact is one thing that can be said of an environment: the versions live and
// candidate, the shares of the candidate and of the baseline, phase and stage of the journal, how many
// replicas are ready of each that users meet, the live version, the candidate and
// the baseline, at least, how many revisions run, and whether somebody holds it.
func fact(s deploy.State, name string) (value string, known bool) {
	switch name {
	case "live":
		return versionIn(s.Live), true
	case "candidate":
		return versionIn(s.Candidate), true
	case "share":
		return s.Share.String(), true
	case "baseline":
		if s.Baseline == nil {
			return "none", true
		}
		return s.BaselineShare.String(), true
	case "phase":
		return string(s.Record.Phase), true
	case "stage":
		return strconv.Itoa(s.Record.Stage), true
	case "ready":
		return strconv.Itoa(readyFor(s)), true
	case "running":
		return strconv.Itoa(len(s.Running)), true
	case "locked":
		return strconv.FormatBool(s.Lock != nil), true
	}
	return "", false
}

func readyFor(s deploy.State) int {
	if s.Live == nil {
		return 0
	}
	running, _ := s.Find(s.Live.ID)
	ready := running.Ready()
	if s.Candidate != nil && s.Share > 0 {
		running, _ = s.Find(s.Candidate.ID)
		ready = min(ready, running.Ready())
	}
	if s.Baseline != nil && s.BaselineShare > 0 {
		running, _ = s.Find(s.Baseline.ID)
		ready = min(ready, running.Ready())
	}
	return ready
}

func versionIn(r *deploy.Revision) string {
	if r == nil {
		return "none"
	}
	return r.Image.Version
}

func visit(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) != 1 || s.users != nil {
		ts.Fatalf("usage: visit ENVIRONMENT, once at a time")
	}
	state, err := s.state(args[0])
	ts.Check(err)
	s.users = visitURL(state.URL)
}

func unharmed(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if neg || len(args) > 1 || s.users == nil {
		ts.Fatalf("usage: unharmed [VERSION], after visit")
	}
	count := s.users.end()
	s.users = nil
	_, _ = fmt.Fprintf(ts.Stdout(), "sent %d, answered %v, faults %v\n", count.sent, count.answered, count.faults)
	if count.sent == 0 {
		ts.Fatalf("nobody sent a request")
	}
	if harm := count.harm(args...); harm != "" {
		ts.Fatalf("%s", harm)
	}
}

// worsened is how many requests users send to what has become worse.
const worsened = 300

func worsen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: worsen ENVIRONMENT")
	}
	state, err := stageOf(ts).state(args[0])
	ts.Check(err)
	if status, body, err := ask(state.URL + "/worsen"); status != http.StatusOK {
		ts.Fatalf("status %d %q, %v", status, body, err)
	}
	for range worsened {
		_, _, err := ask(state.URL)
		ts.Check(err)
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: get ENVIRONMENT")
	}
	state, err := stageOf(ts).state(args[0])
	ts.Check(err)
	status, body, err := ask(state.URL)
	for end := time.Now().Add(patience); !neg && status != http.StatusOK && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		status, body, err = ask(state.URL)
	}
	_, _ = fmt.Fprintln(ts.Stdout(), body)
	if neg == (status == http.StatusOK) {
		ts.Fatalf("get %s: status %d, %v", args[0], status, err)
	}
}

func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field NAME FILE PATH")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	for part := range strings.SplitSeq(args[2], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(x) {
				ts.Fatalf("%s: there is no element %s of %d", args[2], part, len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: nothing has a %s", args[2], part)
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: occupy NAME [ADDRESS]")
	}
	address := strings.TrimPrefix(append(args, "127.0.0.1:0")[1], "http://")
	l, err := net.Listen("tcp4", address)
	ts.Check(err)
	s := stageOf(ts)
	s.held = append(s.held, l)
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

func vacate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: vacate")
	}
	s := stageOf(ts)
	for _, l := range s.held {
		ts.Check(l.Close())
	}
	s.held = nil
}

// crash kills the sandbox's process, and waits until its socket is dead.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: crash")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	config := sandbox.Config{Home: stageOf(ts).home}
	client, err := sandbox.Connect(ctx, config)
	ts.Check(err)
	status, err := client.Status(ctx)
	ts.Check(err)
	ts.Check(syscall.Kill(status.PID, syscall.SIGKILL))
	for ctx.Err() == nil {
		if _, err := sandbox.Connect(ctx, config); errors.Is(err, sandbox.ErrDown) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	ts.Fatalf("the sandbox lives after it was killed")
}

func unsaid(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unsaid VALUE")
	}
	if strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), args[0]) {
		ts.Fatalf("it was said")
	}
}

func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: nowhere VALUE PATH [NAME]")
	}
	read := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[1]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(args) == 3 && d.Name() == args[2] {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(content, []byte(args[0])) {
			err = fmt.Errorf("%s holds it", path)
		}
		read++
		return err
	}))
	if read == 0 {
		ts.Fatalf("there is no file at %s", args[1])
	}
}

func private(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: private PATH")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		ts.Fatalf("%s has mode %o", args[0], mode)
	}
}

// schema is where the reports' form is described.
var schema = filepath.Join("..", "..", "report", "report.schema.json")

func described(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: described FILE")
	}
	form, err := jsonschema.NewCompiler().Compile(schema)
	ts.Check(err)
	report, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(form.Validate(report))
}
