package action

import (
	"io"
	"strings"
	"sync"

	"github.com/sethvargo/go-githubactions"

	"github.com/slipway-ci/slipway/deploy"
)

// Runner is the GitHub runner that this process runs on. Its methods may be
// called from several goroutines.
type Runner struct {
	getenv   func(string) string
	out      *sink
	commands *githubactions.Action
	masker   *Masker

	mu   sync.Mutex
	used map[Level]int
}

// credentials are variables in which a runner, or a step, hands its own to the
// action: whatever a check prints of them goes no further.
var credentials = []string{"GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", idTokenKey}

// New makes a Runner that reads the environment by getenv and writes workflow
// commands to stdout. It masks with a Masker of its own, which knows the
// runner's own credentials; see Masker.
func New(getenv func(string) string, stdout io.Writer) *Runner {
	out := &sink{w: stdout}
	masker := NewMasker()
	for _, name := range credentials {
		masker.Add(getenv(name))
	}
	return &Runner{
		getenv: getenv,
		out:    out,
		commands: githubactions.New(
			githubactions.WithGetenv(getenv), githubactions.WithWriter(out)),
		masker: masker,
		used:   map[Level]int{},
	}
}

// Present reports whether there is a runner at all: GITHUB_ACTIONS is "true".
// Without one, what a runner would take is dropped in silence.
func (r *Runner) Present() bool { return r.getenv("GITHUB_ACTIONS") == "true" }

// Masker hides what AddMask was told in all that the Runner writes; whoever
// writes elsewhere shares it.
func (r *Runner) Masker() *Masker { return r.masker }

// Run describes the workflow run, for reports and locks. Operation and App are
// left to the caller. Without a runner it is empty.
func (r *Runner) Run() deploy.Run {
	if !r.Present() {
		return deploy.Run{}
	}
	run := deploy.Run{
		Who:        r.getenv("GITHUB_ACTOR"),
		Repository: r.getenv("GITHUB_REPOSITORY"),
		Commit:     r.getenv("GITHUB_SHA"),
		Ref:        r.getenv("GITHUB_REF"),
		Workflow:   workflowFile(r.getenv("GITHUB_WORKFLOW_REF")),
	}
	id := r.getenv("GITHUB_RUN_ID")
	if id == "" {
		return run
	}
	run.ID = id + "-" + orElse(r.getenv("GITHUB_RUN_ATTEMPT"), "1")
	if run.Repository != "" {
		server := orElse(r.getenv("GITHUB_SERVER_URL"), "https://github.com")
		run.URL = strings.TrimSuffix(server, "/") + "/" + run.Repository + "/actions/runs/" + id
	}
	return run
}

// Origin is the repository whose run this is. Without a runner it is empty.
func (r *Runner) Origin() deploy.Origin {
	if !r.Present() {
		return deploy.Origin{}
	}
	return deploy.Origin{Repository: r.getenv("GITHUB_REPOSITORY"), ID: r.getenv("GITHUB_REPOSITORY_ID")}
}

// workflowFile is the file's name in what the runner says of the workflow,
// such as acme/hello/.github/workflows/slipway.yml@refs/heads/main; empty where
// it is something else. Of a workflow that another calls, the runner names the
// caller, which is the one that can be started.
func workflowFile(ref string) string {
	file, _, _ := strings.Cut(ref, "@")
	if _, name, ok := strings.Cut(file, "/.github/workflows/"); ok {
		return name
	}
	return ""
}

// APIURL is where GitHub's REST API answers, without a slash at the end.
func (r *Runner) APIURL() string {
	return strings.TrimSuffix(orElse(r.getenv("GITHUB_API_URL"), "https://api.github.com"), "/")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// sink keeps workflow commands whole when several goroutines write, and never
// returns an error: the library panics on one, and a log that cannot be
// written is no reason to stop a deployment.
type sink struct {
	mu sync.Mutex
	w  io.Writer
}

// Write passes p on and claims success.
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.w.Write(p)
	return len(p), nil
}
