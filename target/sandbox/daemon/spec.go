package daemon

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/target/sandbox/process"
)

// spec is how a replica's process is to run.
func (x *replica) spec(image unpacked, port int) process.Spec {
	return process.Spec{
		ID: x.name, Root: image.root, Argv: image.argv(), Env: x.variables(image, port),
		Dir: image.WorkingDir, Log: x.log,
	}
}

// variables are the environment of a replica. What comes later wins: the
// image's, the revision's, its secrets, and last what the sandbox says.
func (x *replica) variables(image unpacked, port int) []string {
	r, e := x.run.revision, x.run.env
	all := map[string]string{}
	for _, pair := range image.Env {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	maps.Copy(all, r.Config.Env)
	e.mu.Lock()
	for _, s := range r.Secrets {
		all[s.Name] = e.secrets[s.String()]
	}
	e.mu.Unlock()
	maps.Copy(all, map[string]string{
		"PORT": strconv.Itoa(port), "HOST": "127.0.0.1",
		"SLIPWAY_APP": e.key.app, "SLIPWAY_ENVIRONMENT": e.key.name,
		"SLIPWAY_VERSION": r.Image.Version, "SLIPWAY_REVISION": r.ID,
	})
	pairs := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, name+"="+all[name])
	}
	return pairs
}
