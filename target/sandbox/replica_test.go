package sandbox_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/targettest"
)

// What ends again and again is started after pauses that double. The first
// restart is at once; the fifth comes after 100 ms and three doubles of it.
func TestRestartsBackOff(t *testing.T) {
	b := up(t)
	p := b.place("production")
	r := p.revision("1.0.0", 1, "-exit", "1")
	began := time.Now()
	err := p.target().Start(b.limited(), r)
	if _, doomed := errors.AsType[*deploy.Doomed](err); !doomed {
		t.Fatalf("want a *deploy.Doomed, got %v", err)
	}
	p.until("five restarts", func(s deploy.State) bool {
		running, _ := s.Find(r.ID)
		return running.Restarts() >= 5
	})
	if least := (1 + 2 + 4 + 8) * 100 * time.Millisecond; time.Since(began) < least {
		t.Errorf("five restarts in %s; the pauses alone take %s", time.Since(began), least)
	}
}

func TestTheTimeToStartEndsThePullToo(t *testing.T) {
	b := up(t)
	p := b.place("production")
	r := p.revision("1.0.0", 1)
	r.Config.StartTimeout = time.Millisecond
	err := p.target().Start(b.limited(), r)
	doomed, ok := errors.AsType[*deploy.Doomed](err)
	if !ok || !strings.Contains(err.Error(), "within 1ms") || !strings.Contains(doomed.Hint, "start-timeout") {
		t.Errorf("want a *deploy.Doomed that names the time, got %v", err)
	}
}

func TestLogsAreBounded(t *testing.T) {
	b := up(t)
	p := b.place("production")
	r := p.bring("1.0.0", 1)
	const lines, kept = 50_000, 2 << 20 // 5 MB are printed; see logLimit of the daemon
	url := p.state().URL
	if body, err := b.get(fmt.Sprintf("%s/say?%d", url, lines)); err != nil || body != "1.0.0" {
		t.Fatalf("the app is held up by its own log: %q, %v", body, err)
	}
	var size int64
	err := filepath.WalkDir(filepath.Join(b.config.Home, "logs"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil || size == 0 || size > kept {
		t.Errorf("%d bytes of logs, %v", size, err)
	}
	last := fmt.Sprintf("%099d", lines-1)
	b.eventually("the last line", func() bool {
		e, err := p.target().Evidence(b.limited(), r)
		p.must(err)
		if len(e.Log) > 20 {
			t.Fatalf("%d lines are evidence", len(e.Log))
		}
		return len(e.Log) > 0 && e.Log[len(e.Log)-1] == last
	})
}

func TestEvidenceHidesSecrets(t *testing.T) {
	const value = "the value of the secret"
	b := up(t)
	p := b.place("production")
	image := targettest.Push(t, targettest.Image(t, "-tell", "KEY", "-exit", "1"), b.repository(), "1.0.0")
	r := deploy.NewRevision(app, deploy.Environment{Name: p.name, Service: service(1)}, image,
		[]deploy.Secret{deploy.NewSecret(app, p.name, "KEY", value)})
	err := p.target().Start(b.limited(), r)
	doomed, ok := errors.AsType[*deploy.Doomed](err)
	if !ok {
		t.Fatalf("want a *deploy.Doomed, got %v", err)
	}
	if told := text(t, doomed) + err.Error(); strings.Contains(told, value) || !strings.Contains(told, "***") {
		t.Errorf("the evidence is %s", told)
	}
	if state := text(t, p.state()); strings.Contains(state, value) {
		t.Errorf("the state is %s", state)
	}
}

func TestSecretsAreForMeAlone(t *testing.T) {
	b := up(t)
	p := b.place("production")
	image := targettest.Push(t, targettest.Image(t, "-name", "1.0.0"), b.repository(), "1.0.0")
	r := deploy.NewRevision(app, deploy.Environment{Name: p.name, Service: service(1)}, image,
		[]deploy.Secret{deploy.NewSecret(app, p.name, "KEY", "the value")})
	p.must(p.target().Start(b.limited(), r))
	err := filepath.WalkDir(b.config.Home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "app" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(content), "the value") {
			return err
		}
		info, err := d.Info()
		if err == nil && (d.Name() != "secrets.json" || info.Mode().Perm() != 0o600) {
			t.Errorf("%s of mode %s holds a secret", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// A value that nobody knows cannot be had: the revision is refused.
	q := b.place("staging")
	r.Secrets = []deploy.Secret{deploy.KnownSecret("KEY", "17", "")}
	err = q.target().Start(b.limited(), r)
	if err == nil || !strings.Contains(err.Error(), "secret KEY") || !strings.Contains(deploy.HintOf(err), "set KEY") {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
}

func TestRemoveForgetsAnEnvironment(t *testing.T) {
	b := up(t)
	p, q := b.place("preview"), b.place("production")
	p.bring("1.0.0", 1)
	q.bring("1.1.0", 1)
	url := p.state().URL
	p.must(b.Remove(b.limited(), app, p.name))
	if s := p.state(); s.Live != nil || s.URL != "" || len(s.Running) > 0 {
		t.Errorf("there is still %+v", s)
	}
	if body, err := b.get(url); err == nil {
		t.Errorf("%s still answers %q", url, body)
	}
	for _, dir := range []string{"environments", "logs"} {
		if _, err := os.Stat(filepath.Join(b.config.Home, dir, app, p.name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s are still there: %v", dir, err)
		}
	}
	p.must(b.Remove(b.limited(), app, p.name)) // once more is fine
	q.serves("1.1.0")
	for _, name := range []string{"", ".", "..", ".hidden", strings.Repeat("x", 64)} {
		if err := b.Remove(b.limited(), app, name); err == nil {
			t.Errorf("an environment of the name %q was removed", name)
		}
	}
}

func TestAnEnvironmentMovesToThePortOfItsFile(t *testing.T) {
	b := up(t)
	p := b.place("production")
	r := p.bring("1.0.0", 1)
	old := p.state().URL
	l := take(t, "127.0.0.1:0")
	port := portOf(t, l)
	moved := b.Target(app, deploy.Environment{Name: p.name, Target: deploy.TargetSpec{Port: port}})
	if err := moved.Switch(b.limited(), r); err == nil || !strings.Contains(err.Error(), fmt.Sprint(port)) {
		t.Errorf("a port that is taken: %v", err)
	}
	if got := p.state().URL; got != old {
		t.Errorf("moved to %s", got)
	}
	p.serves("1.0.0")
	l.Close()
	p.must(moved.Switch(b.limited(), r))
	if got, want := p.state().URL, fmt.Sprintf("http://127.0.0.1:%d", port); got != want {
		t.Errorf("at %s, not %s", got, want)
	}
	p.serves("1.0.0")
}
