package process

import (
	"strings"
	"testing"
)

func TestReplicaIsSupportedHere(t *testing.T) {
	if err := Supported(); err != nil {
		t.Fatal(err)
	}
}

func TestReplicaSeesOnlyItself(t *testing.T) {
	p, log := run(t, Spec{Root: root(t), Env: []string{"A=1", "PATH=/"}, ID: "hello-3"}, "look", "x", "y z")
	if got := ended(t, p); got.Code != 0 {
		t.Fatalf("%s\n%s", got, text(t, log))
	}
	out := text(t, log)
	t.Log(out)
	for _, want := range []string{"hostname: hello-3\n", "uid: 0 0\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
