package acttest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

const (
	repository = githubtest.Repository
	token      = githubtest.Token
)

// scene is a repository at GitHub, with a runner whose disk outlasts a run.
type scene struct {
	t     testing.TB
	bench *bench
	hub   *hub
	// workspace is the checkout, home what the runner mounts as HOME, both in
	// top.
	top, workspace, home string
	git                  *git.Repository
	// sha is the newest commit.
	sha  string
	runs int
}

// workflow is the one that `slipway init` writes, with what act needs and what
// these tests look at.
func workflow(t testing.TB, name string) string {
	t.Helper()
	text := string(config.Workflow())
	for _, change := range []struct{ pattern, with string }{
		{`(?m)^name: slipway$`, "name: " + name},
		// act takes the workspace for checked out only where no ref is named.
		{`(?m)^ +# A preview by hand .*\n +ref: .*\n`, ""},
		// The program is built beforehand: the job has no Go.
		{`run: go build .*`, "run: test -x bin/app"},
		{`(?m)^      - uses: slipway-ci/slipway@v1$`, `$0
        id: slipway
        with:
          # GitHub hands defaults to the post-entrypoint, too; act does not.
          github-token: $${{ github.token }}
        env:
          API_KEY: $${{ secrets.API_KEY }}`},
	} {
		pattern := regexp.MustCompile(change.pattern)
		if found := pattern.FindAllString(text, -1); len(found) != 1 {
			t.Fatalf("the workflow that init writes has %d of %s", len(found), change.pattern)
		}
		text = pattern.ReplaceAllString(text, change.with)
	}
	return text + `      - if: always()
        env:
          OUTPUTS: ${{ toJSON(steps.slipway.outputs) }}
        run: printf 'a later step sees %s\n' "$OUTPUTS"
`
}

// newScene makes one whose file describes the app.
func newScene(t testing.TB, b *bench, file string) *scene {
	t.Helper()
	top := t.TempDir()
	s := &scene{
		t: t, bench: b, hub: newHub(t), top: top,
		workspace: filepath.Join(top, "workspace"), home: filepath.Join(top, "home"),
	}
	for _, dir := range []string{s.workspace, s.home, filepath.Join(top, "act")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	repo, err := git.PlainInitWithOptions(s.workspace, &git.PlainInitOptions{
		InitOptions: git.InitOptions{DefaultBranch: plumbing.Main},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.git = repo
	name := "scene-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	s.write("act/actrc", "")
	s.write("workspace/.gitignore", "bin/\nslipway-report.json\n")
	s.write("workspace/.github/workflows/slipway.yml", workflow(t, name))
	s.write("workspace/slipway.yaml", file)
	s.commit("feat: begin")
	return s
}

func (s *scene) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.top, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// commit records all that is in the workspace.
func (s *scene) commit(message string) {
	s.t.Helper()
	tree, err := s.git.Worktree()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := tree.AddWithOptions(&git.AddOptions{All: true}); err != nil {
		s.t.Fatal(err)
	}
	who := &object.Signature{Name: "Tester", Email: "tester@example.com", When: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)}
	hash, err := tree.Commit(message, &git.CommitOptions{Author: who, Committer: who, AllowEmptyCommits: true})
	if err != nil {
		s.t.Fatal(err)
	}
	s.sha = hash.String()
}

// tag names the newest commit.
func (s *scene) tag(name string) {
	s.t.Helper()
	if _, err := s.git.CreateTag(name, plumbing.NewHash(s.sha), nil); err != nil {
		s.t.Fatal(err)
	}
}

// build puts a program of the repository into the workspace, as a step before
// ours would.
func (s *scene) build(pkg, flags string) {
	s.t.Helper()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w "+flags, "-o", filepath.Join(s.workspace, "bin", "app"), pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}

// nextRun is the id of a workflow run.
func (s *scene) nextRun() int {
	s.runs++
	return 1000 + s.runs
}

// hub is a GitHub that also knows when it was asked.
type hub struct {
	*githubtest.Server
	url string

	mu    sync.Mutex
	asked []time.Time
}

func newHub(t testing.TB) *hub {
	h := &hub{Server: githubtest.New(t)}
	// As the workflow asks for them.
	h.Permissions = map[string]string{"contents": "read", "actions": "read", "deployments": "write", "pull-requests": "write"}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url, h.URL = server.URL, server.URL
	return h
}

// ServeHTTP answers as GitHub does.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked = append(h.asked, time.Now())
	h.mu.Unlock()
	h.Server.ServeHTTP(w, r)
}

// live asks the sandbox on the runner's disk, in a container of the action,
// which version each environment has. An environment without one is left out.
func (s *scene) live() map[string]string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := docker(ctx, nil, "run", "--rm", "--network", "host", "--volume", s.home+":/github/home", "--env", "HOME=/github/home",
		"--volume", s.workspace+":"+s.workspace, "--workdir", s.workspace, "--entrypoint", "sh", imageName, "-c",
		"/slipway sandbox up >&2 && /slipway status --json")
	if err != nil {
		s.t.Fatal(err)
	}
	var status struct {
		Environments []struct {
			Name  string
			Share float64
			Live  *struct{ Version string }
		}
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	found := map[string]string{}
	for _, e := range status.Environments {
		if e.Share != 0 {
			s.t.Errorf("%s is left at a share of %g%%", e.Name, e.Share)
		}
		if e.Live != nil {
			found[e.Name] = e.Live.Version
		}
	}
	return found
}

// first is when the request of that number came.
func (h *hub) first(number int) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number >= len(h.asked) {
		return time.Time{}
	}
	return h.asked[number]
}
