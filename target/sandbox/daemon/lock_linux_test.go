package daemon

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// ownerOf is a process of this machine as an owner.
func ownerOf(t *testing.T, pid int) deploy.Owner {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return deploy.Owner{Run: "1", Host: host, PID: pid}
}

func TestLockEndsWithItsOwner(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	h := newHold(nil, ownerOf(t, cmd.Process.Pid), time.Hour, began)
	if !h.holds(began) || h.holds(began.Add(time.Hour)) {
		t.Error("it holds for an hour, while its owner lives")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if h.holds(began) {
		t.Error("its owner is gone")
	}
}

func TestLockOfAnotherProcessOfTheSameNumber(t *testing.T) {
	h := newHold(nil, ownerOf(t, os.Getpid()), time.Hour, time.Now())
	h.Born = "1@another boot"
	if h.holds(time.Now()) {
		t.Error("the process of this number is another one")
	}
}

func TestLockOfAnotherMachineEndsByItsTimeAlone(t *testing.T) {
	o := ownerOf(t, 1<<22+1) // no process has this number
	o.Host = "elsewhere"
	now := time.Now()
	h := newHold(nil, o, time.Minute, now)
	if !h.holds(now.Add(59*time.Second)) || h.holds(now.Add(time.Minute)) {
		t.Errorf("%+v", h)
	}
}

func TestLockIsExtendedFromWhenItWasTaken(t *testing.T) {
	now := time.Now()
	first := newHold(nil, deploy.Owner{Run: "1"}, time.Minute, now)
	again := newHold(first, deploy.Owner{Run: "1"}, time.Minute, now.Add(30*time.Second))
	if !again.Since.Equal(now) || !again.Expires.Equal(now.Add(90*time.Second)) {
		t.Errorf("%+v", again)
	}
	other := newHold(first, deploy.Owner{Run: "2"}, time.Minute, now.Add(time.Hour))
	if !other.Since.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v", other)
	}
	var none *hold
	if none.holds(now) {
		t.Error("nobody holds it")
	}
}
