package sandbox_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/sandbox/process/containertest"
)

// insideEnv lets a process enter a container, and run tests there.
const insideEnv = "SANDBOX_TEST_INSIDE"

// TestInADefaultContainer holds the sandbox to its contract where there are no
// namespaces, and looks whether it leaves anything behind there.
func TestInADefaultContainer(t *testing.T) {
	t.Parallel()
	if os.Getenv(insideEnv) != "" {
		t.Fatal(enter("TestIsolationIsTold", "TestTarget", "TestAKilledSandboxComesBack", "TestDownEndsAllAndUpBringsItBack", "TestKilledReplicasComeBack"))
	}
	if os.Getuid() != 0 {
		t.Skip("replicas without namespaces need root, which does not run these tests")
	}
	needNamespaces(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "isolated by chroot") || !strings.Contains(string(out), "--- PASS: TestTarget/") {
		t.Errorf("%v\n%s", err, out)
	}
}

// enter runs tests in a container in this process's place. It returns only if
// that fails.
func enter(tests ...string) error {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, insideEnv+"=") })
	argv := []string{os.Args[0], fmt.Sprintf("-test.run=^(%s)$", strings.Join(tests, "|")), "-test.v", "-test.timeout=8m"}
	return containertest.Exec("/proc/self/exe", argv, env)
}

// needNamespaces skips what makes namespaces itself, or would do again what
// the tests do anyway where there are none.
func needNamespaces(t testing.TB) {
	t.Helper()
	needSandbox(t)
	if process.Chosen() != process.Namespaces {
		t.Skip("there are no namespaces here")
	}
}

func TestIsolationIsTold(t *testing.T) {
	b := up(t)
	want := process.Chosen()
	t.Logf("replicas are isolated by %s", want)
	if got := b.status().Isolation; got != string(want) {
		t.Errorf("the status says %q, not %q", got, want)
	}
	if weak := b.Weakness() != ""; weak != (want == process.Chroot) {
		t.Errorf("with %s its weakness is %q", want, b.Weakness())
	}
}
