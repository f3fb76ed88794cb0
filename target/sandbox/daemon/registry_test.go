package daemon

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// openTestRegistry is the registry of a state folder, until the test ends or it is closed.
func openTestRegistry(t *testing.T, home wire.Home) *registry {
	t.Helper()
	r, err := openRegistry(home, newPorts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.front.close)
	return r
}

func TestRegistryIsFoundWhereItWas(t *testing.T) {
	home := wire.Home(t.TempDir())
	r := openTestRegistry(t, home)
	first := r.address()
	r.front.close()
	if r = openTestRegistry(t, home); r.address() != first {
		t.Errorf("moved from %s to %s", first, r.address())
	}
	r.front.close()

	other, err := listenOn(r.front.port)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	moved := openTestRegistry(t, home)
	if moved.address() == first {
		t.Fatalf("it shares %s", first)
	}
	for repository, want := range map[string]string{
		first + "/hello": moved.address() + "/hello", moved.address() + "/a/b": moved.address() + "/a/b",
		"ghcr.io/acme/hello": "ghcr.io/acme/hello", "127.0.0.1:1/hello": "127.0.0.1:1/hello", first: first,
	} {
		if got := moved.resolve(repository); got != want {
			t.Errorf("%s is looked for at %s, not %s", repository, got, want)
		}
	}
	resp, err := http.Get("http://" + moved.address() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("it answers %s", resp.Status)
	}
}

func TestPortsAreGivenOutOnce(t *testing.T) {
	p, seen := newPorts(), map[int]bool{}
	for range 50 {
		port, err := p.take()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || port < firstPort || port > lastPort {
			t.Errorf("port %d", port)
		}
		seen[port] = true
	}
	if !p.reserve(1) || p.reserve(1) {
		t.Error("a port is reserved once")
	}
	p.release(1)
	if !p.reserve(1) {
		t.Error("and again after it was released")
	}
}
