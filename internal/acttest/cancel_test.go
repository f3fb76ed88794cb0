package acttest

import (
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// slow holds a canary in production long enough to be interrupted.
var slow = strings.Replace(hello, "after: staging, strategy: {blue-green: {keep: 0s}}",
	"after: staging, strategy: {canary: {steps: [50%, 100%], hold: 10m}}", 1)

// A job that ends in the middle of a canary leaves no user with the new
// version, and GitHub is told.
func TestJobThatIsEndedInTheMiddle(t *testing.T) {
	b := open(t)
	for _, c := range []struct {
		name string
		end  func(*scene, *os.Process)
		// says is in the log of the step, settled in that of what runs after it.
		says, settled string
		// states are those of production's deployment at GitHub.
		states string
	}{
		{
			name: "cancelled",
			// What the runner does first. It would go on with SIGTERM and SIGKILL.
			end:  func(s *scene, _ *os.Process) { s.signal("INT") },
			says: `production reverted`, settled: `nothing was unfinished`,
			states: "queued in_progress failure",
		},
		{
			name:    "killed",
			end:     func(s *scene, _ *os.Process) { s.signal("KILL") },
			settled: `production reverted: users have 1\.0\.0 in production`,
			states:  "queued in_progress in_progress failure",
		},
		{
			name: "given up by the runner",
			end: func(s *scene, act *os.Process) {
				if err := act.Signal(os.Interrupt); err != nil {
					s.t.Error(err)
				}
			},
			settled: `production reverted: users have 1\.0\.0 in production`,
			states:  "queued in_progress in_progress failure",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, b, slow)
			if r := s.act(tagged("1.0.0")(s)); !r.succeeded() {
				t.Fatal("the first release failed")
			}
			second := tagged("1.1.0")(s)
			second.meanwhile = func(act *os.Process) {
				s.await("1.1.0")
				c.end(s, act)
			}
			r := s.act(second)
			if r.succeeded() {
				t.Error("the job succeeded")
			}
			inOrder(t, "the log of the step", []string{c.says}, r.says("Main"))
			inOrder(t, "the log of the step after the job", []string{c.settled}, r.says("Post"))
			s.deploymentsAre(
				"staging: queued in_progress success inactive", "production: queued in_progress success",
				"staging: queued in_progress success", "production: "+c.states,
			)
			if live := s.live(); live["production"] != "1.0.0" || live["staging"] != "1.1.0" {
				t.Errorf("live are %v", live)
			}
		})
	}
}

// container is the one that our step runs in; empty while there is none.
func (s *scene) container(ctx context.Context) string {
	out, err := docker(ctx, nil, "ps", "--quiet", "--filter", "ancestor="+imageName, "--filter", "volume="+s.home)
	if err != nil {
		s.t.Error(err)
	}
	return out
}

// signal sends one to our step, as the runner's docker client passes it on.
func (s *scene) signal(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := docker(ctx, nil, "kill", "--signal", name, s.container(ctx)); err != nil {
		s.t.Error(err)
	}
}

// await asks production as one new user after another until the version
// answers.
func (s *scene) await(version string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(ask(ctx, s.url("production")), "hello from "+version) {
		select {
		case <-ctx.Done():
			s.t.Errorf("%s never got users", version)
			return
		case <-tick.C:
		}
	}
}

// url is the address of an environment that GitHub was told last.
func (s *scene) url(environment string) string {
	all := s.hub.Deployments()
	slices.Reverse(all)
	for _, d := range all {
		for _, status := range d.Statuses {
			if d.Environment == environment && status.EnvironmentURL != "" {
				return status.EnvironmentURL
			}
		}
	}
	return ""
}

// ask is what an address answers; empty where it does not.
func ask(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	answer, err := (&http.Client{Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return ""
	}
	return string(body)
}
