package sandbox_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
)

// family are a process and all that it has started, and what they have, that
// runs still.
func family(t testing.TB, pid int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for _, e := range entries {
		var child, parent int
		var state string
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat")) // nothing where it has just ended
		head, tail, _ := strings.Cut(string(stat), "(")
		tail = tail[strings.LastIndex(tail, ")")+1:]
		_, errHead := fmt.Sscan(head, &child)
		_, errTail := fmt.Sscan(tail, &state, &parent)
		if errors.Join(errHead, errTail) == nil && state != "Z" {
			children[parent] = append(children[parent], child)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// gone waits until none of the processes runs any more.
func (b *box) gone(pids []int) {
	b.Helper()
	b.eventually(fmt.Sprintf("the end of the processes %v", pids), func() bool {
		return !slices.ContainsFunc(pids, func(pid int) bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && !strings.Contains(string(stat), ") Z ")
		})
	})
}

// kill ends the background process by SIGKILL, and waits until all that it had
// started is gone.
func (b *box) kill() {
	b.Helper()
	pids := family(b, b.status().PID)
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
	b.gone(pids)
}

// memory is what a state must not forget.
func memory(t testing.TB, s deploy.State) string {
	t.Helper()
	replicas := map[string]int{}
	for _, r := range s.Running {
		replicas[r.Revision.ID] = len(r.Replicas)
	}
	s.Running = nil
	return text(t, s) + text(t, replicas)
}

// midway is an environment in the middle of a canary beside a baseline, with a
// past.
func (b *box) midway(name string) place {
	b.Helper()
	p := b.place(name)
	p.must(p.target().Lock(p.limited(), owner(), time.Hour))
	a := p.bring("1.0.0", 2)
	p.write(deploy.PhaseSettled, deploy.Revision{}, a)
	c := p.revision("1.1.0", 1)
	p.write(deploy.PhaseStarting, a, c)
	p.must(p.target().Start(p.limited(), c))
	p.must(p.target().StartBaseline(p.limited(), a.AsBaseline(1)))
	p.must(p.target().SplitBeside(p.limited(), c, 30, 30))
	p.write(deploy.PhaseHolding, a, c)
	return p
}

// both checks that the users of an environment get one version or the other.
func (p place) both() {
	p.Helper()
	url, got := p.state().URL, map[string]int{}
	for range 100 {
		body, err := p.get(url)
		if err != nil {
			p.Error(err)
			return
		}
		got[body]++
	}
	if got["1.0.0"] < 30 || got["1.1.0"] < 5 {
		p.Errorf("of the users, 70%% and 30%% should get the two versions: %v", got)
	}
}

func TestAKilledSandboxComesBack(t *testing.T) {
	b := up(t)
	p, q := b.midway("production"), b.place("staging")
	q.bring("1.1.0", 1)
	before, beside, registry := memory(t, p.state()), memory(t, q.state()), b.Registry()
	for range 2 {
		b.kill()
		if _, err := sandbox.Connect(t.Context(), b.config); !errors.Is(err, sandbox.ErrDown) {
			t.Fatalf("after the kill: %v", err)
		}
		b.up()
		if b.Registry() != registry {
			t.Errorf("the registry has moved from %s to %s", registry, b.Registry())
		}
		if after := memory(t, p.state()); after != before {
			t.Errorf("production has forgotten\nbefore %s\nafter  %s", before, after)
		}
		if after := memory(t, q.state()); after != beside {
			t.Errorf("staging has forgotten\nbefore %s\nafter  %s", beside, after)
		}
		p.ready()
		q.ready()
		p.both()
		q.serves("1.1.0")
	}
	// The run that was on its way goes on: it follows its own last record.
	p.write(deploy.PhaseReverting, deploy.Revision{}, deploy.Revision{})
	err := p.target().Lock(p.limited(), deploy.Owner{Run: "another"}, time.Minute)
	if _, locked := errors.AsType[*deploy.Locked](err); !locked {
		t.Errorf("the lock is lost: %v", err)
	}
}

func TestDownEndsAllAndUpBringsItBack(t *testing.T) {
	b := up(t)
	p := b.midway("production")
	before, pids := memory(t, p.state()), family(t, b.status().PID)
	if len(pids) < 1+4*2 { // with an init and an app a replica
		t.Errorf("the family is too small: %v", pids)
	}
	b.down()
	b.gone(pids)
	if err := sandbox.Down(t.Context(), b.config); !errors.Is(err, sandbox.ErrDown) {
		t.Errorf("down once more: %v", err)
	}
	b.up()
	p.ready()
	if after := memory(t, p.state()); after != before {
		t.Errorf("forgotten\nbefore %s\nafter  %s", before, after)
	}
	p.both()
}

func TestKilledReplicasComeBack(t *testing.T) {
	b := up(t)
	p := b.place("production")
	a := p.bring("1.0.0", 2)
	for _, pid := range family(t, b.status().PID)[1:] {
		_ = syscall.Kill(pid, syscall.SIGKILL) // one ends with the other
	}
	p.until("two replicas that were started again", func(s deploy.State) bool {
		running, _ := s.Find(a.ID)
		return running.Ready() == 2 && running.Restarts() >= 2
	})
	p.serves("1.0.0")
}

func TestManyUpsStartOneSandbox(t *testing.T) {
	b := newBox(t, shortDir(t))
	const ups = 6
	clients, errs := make([]*sandbox.Client, ups), make([]error, ups)
	var group sync.WaitGroup
	for i := range ups {
		group.Go(func() { clients[i], errs[i] = sandbox.Up(b.limited(), b.config) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	b.Client = clients[0]
	pids := map[int]bool{}
	for _, c := range clients {
		s, err := c.Status(b.limited())
		if err != nil {
			t.Fatal(err)
		}
		pids[s.PID] = true
	}
	if len(pids) != 1 {
		t.Errorf("%d sandboxes run: %v", len(pids), pids)
	}
	if n := strings.Count(string(b.printed()), "the sandbox is up"); n != 1 {
		t.Errorf("it was started %d times", n)
	}
}

// damage is what may become of a file.
var damage = map[string]func(content []byte) []byte{
	"empty":      func([]byte) []byte { return nil },
	"torn":       func(c []byte) []byte { return c[:len(strings.TrimRight(string(c), " "))/2] },
	"zeros":      func(c []byte) []byte { return make([]byte, len(c)) },
	"garbage":    func([]byte) []byte { return []byte("<html>") },
	"null":       func([]byte) []byte { return []byte("null") },
	"wrong type": func([]byte) []byte { return []byte(`{"app":"hello","environment":"production","runs":7}`) },
}

func TestDamagedStateIsToldAndKept(t *testing.T) {
	b := up(t)
	p, q := b.place("production"), b.place("staging")
	p.bring("1.0.0", 1)
	q.bring("1.1.0", 1)
	path := filepath.Join(b.config.Home, "environments", app, p.name, "state.json")
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := memory(t, p.state())
	for name, harm := range damage {
		b.down()
		broken := harm(intact)
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		b.up()
		q.ready()
		q.serves("1.1.0") // the others are not touched
		_, errState := p.target().State(b.limited())
		for act, err := range map[string]error{
			"state": errState, "start": p.target().Start(b.limited(), p.revision("1.2.0", 1)),
			"lock": p.target().Lock(b.limited(), owner(), time.Minute), "write": p.target().Write(b.limited(), deploy.Record{}),
		} {
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(deploy.HintOf(err), "restore the file") {
				t.Errorf("%s: %s: %v (%s)", name, act, err, deploy.HintOf(err))
			}
		}
		if problem := b.problem(p.name); !strings.Contains(problem, path) {
			t.Errorf("%s: the status says %q", name, problem)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(broken) {
			t.Errorf("%s: the file was touched: %v", name, err)
		}
	}
	b.down()
	if err := os.WriteFile(path, intact, 0o600); err != nil {
		t.Fatal(err)
	}
	b.up()
	p.ready()
	if after := memory(t, p.state()); after != before {
		t.Errorf("forgotten\nbefore %s\nafter  %s", before, after)
	}
	p.serves("1.0.0")
}

// problem is what the status says is wrong with an environment.
func (b *box) problem(name string) string {
	b.Helper()
	for _, e := range b.status().Environments {
		if e.Name == name {
			return e.Problem
		}
	}
	b.Fatalf("the status does not name %s", name)
	return ""
}

func TestDamagedEnvironmentCanBeRemoved(t *testing.T) {
	b := up(t)
	p := b.place("production")
	p.bring("1.0.0", 1)
	b.down()
	path := filepath.Join(b.config.Home, "environments", app, p.name, "state.json")
	if err := os.WriteFile(path, []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.up()
	p.must(b.Remove(b.limited(), app, p.name))
	if s := p.state(); s.Live != nil || s.URL != "" {
		t.Errorf("removed, and there is still %+v", s)
	}
	p.bring("1.1.0", 1)
	p.serves("1.1.0")
}

func TestDamagedRegistryPort(t *testing.T) {
	b := up(t)
	b.down()
	path := filepath.Join(b.config.Home, "registry.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sandbox.Up(b.limited(), b.config)
	if err == nil || !strings.Contains(deploy.HintOf(err), path) || !strings.Contains(deploy.HintOf(err), "remove it") {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
	b.Client = nil
}

func TestTakenPortIsToldAndTriedAgain(t *testing.T) {
	b := up(t)
	p := b.place("production")
	a := p.bring("1.0.0", 1)
	at, err := url.Parse(p.state().URL)
	if err != nil {
		t.Fatal(err)
	}
	b.down()
	other := take(t, at.Host)
	b.up()
	p.ready()
	if s := p.state(); s.URL != at.String() {
		t.Errorf("the stable URL has moved from %s to %s", at, s.URL)
	}
	for what, text := range map[string]string{
		"status": b.problem(p.name),
		"switch": fmt.Sprint(p.target().Switch(b.limited(), a)),
		"start":  fmt.Sprint(p.target().Start(b.limited(), a)),
	} {
		if !strings.Contains(text, at.Port()) || !strings.Contains(text, "another program uses it") {
			t.Errorf("%s says %q", what, text)
		}
	}
	if hint := deploy.HintOf(p.target().Switch(b.limited(), a)); !strings.Contains(hint, "free the port") {
		t.Errorf("the hint is %q", hint)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	b.eventually("the port", func() bool { return b.problem(p.name) == "" })
	p.serves("1.0.0")
}

func TestTakenPortOfTheRegistry(t *testing.T) {
	b := up(t)
	p := b.place("production")
	p.bring("1.0.0", 1)
	next := p.revision("1.1.0", 1) // is known by the registry's old address
	b.down()
	take(t, b.Registry())
	before := b.Registry()
	b.up()
	if b.Registry() == before {
		t.Fatalf("the registry shares the port of %s", before)
	}
	p.ready()
	p.serves("1.0.0")
	p.must(p.target().Start(b.limited(), next))
	p.must(p.target().Switch(b.limited(), next))
	p.serves("1.1.0")
}

// Users go back at once when the folder of an environment cannot be written;
// that they did is written down as soon as it can.
func TestUsersGoBackBeforeItCanBeWrittenDown(t *testing.T) {
	b := up(t)
	p := b.midway("production")
	c := *p.state().Candidate
	folder := filepath.Join(b.config.Home, "environments", app, p.name)
	if err := errors.Join(os.Rename(folder, folder+".aside"), os.WriteFile(folder, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := p.target().Split(b.limited(), c, 40); err == nil {
		t.Error("more users go to what cannot be written down")
	}
	p.must(p.target().Split(b.limited(), c, 0))
	p.serves("1.0.0")
	b.eventually("the problem", func() bool { return strings.Contains(b.problem(p.name), folder) })
	if err := errors.Join(os.Remove(folder), os.Rename(folder+".aside", folder)); err != nil {
		t.Fatal(err)
	}
	b.eventually("that it is written down", func() bool { return b.problem(p.name) == "" })
	b.kill()
	b.up()
	if s := p.state(); s.Share != 0 || !s.Record.Unfinished() {
		t.Errorf("forgotten: %s", text(t, s))
	}
	p.ready()
	p.serves("1.0.0")
}
