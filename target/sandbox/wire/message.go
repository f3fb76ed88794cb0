package wire

import (
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Protocol counts the changes of this package that an older client or process
// does not understand. Hello and the way to end the process never change.
const Protocol = 1

// Header carries the client's Protocol with each request.
const Header = "Slipway-Protocol"

// The paths. Acts on an environment are POSTed to
// /environments/{app}/{environment}/{act}.
const (
	PathHello  = "/hello"
	PathDown   = "/down"
	PathStatus = "/status"
)

// The acts on an environment.
const (
	ActState    = "state"
	ActStart    = "start"
	ActSwitch   = "switch"
	ActStop     = "stop"
	ActSplit    = "split"
	ActBaseline = "baseline"
	ActRoll     = "roll"
	ActWrite    = "write"
	ActLock     = "lock"
	ActUnlock   = "unlock"
	ActEvidence = "evidence"
	ActSignal   = "signal"
	ActRemove   = "remove"
)

// Hello is how the background process introduces itself.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	PID      int    `json:"pid"`
	// Registry is the address of the registry, "127.0.0.1:PORT".
	Registry string `json:"registry"`
	// Isolation of the replicas: "namespaces", or "chroot", which is weaker.
	Isolation string `json:"isolation"`
}

// Request is one act. Each act reads the fields that it needs.
type Request struct {
	// Port is what the environment's file asks for; 0 leaves it to the sandbox.
	Port int `json:"port,omitempty"`
	// Revision: start, baseline, switch, stop, split, roll, evidence.
	Revision deploy.Revision `json:"revision"`
	// Secrets are the values of the revision's secrets by name, as far as the
	// client has them: start, baseline, roll. They travel beside the revision because a
	// deploy.Secret never prints its value.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Login opens the registry of the revision's image: start, baseline, roll. It is kept
	// in memory alone.
	Login *Login `json:"login,omitempty"`
	// Share, and Baseline for that of the baseline: split.
	Share    deploy.Percent `json:"share,omitempty"`
	Baseline deploy.Percent `json:"baseline,omitempty"`
	// Batch: roll.
	Batch deploy.Batch `json:"batch,omitzero"`
	// Record: write.
	Record *deploy.Record `json:"record,omitempty"`
	// Signal: signal.
	Signal *deploy.Signal `json:"signal,omitempty"`
	// Owner: lock, unlock. TTL: lock.
	Owner deploy.Owner  `json:"owner,omitzero"`
	TTL   time.Duration `json:"ttl,omitempty"`
}

// Login is what a registry asks for.
type Login struct {
	// Host is the registry's, with its port where it has one.
	Host     string `json:"host"`
	User     string `json:"user"`
	Password string `json:"password"`
}

// WithRevision fills in a revision and the values of its secrets.
func (r Request) WithRevision(revision deploy.Revision) Request {
	r.Revision = revision
	for _, s := range revision.Secrets {
		if value := s.Reveal(); value != "" {
			if r.Secrets == nil {
				r.Secrets = map[string]string{}
			}
			r.Secrets[s.Name] = value
		}
	}
	return r
}

// Status is what the whole sandbox is doing.
type Status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// Home is the state folder.
	Home string `json:"home"`
	// Registry is the address of the registry, "127.0.0.1:PORT".
	Registry string `json:"registry"`
	// Isolation is as in Hello.
	Isolation string        `json:"isolation"`
	Uptime    time.Duration `json:"uptime"`
	// Memory is the background process's resident set in bytes; replicas are
	// not part of it.
	Memory       uint64        `json:"memory"`
	Environments []Environment `json:"environments"`
}

// Environment is one environment in a Status.
type Environment struct {
	App       string         `json:"app"`
	Name      string         `json:"name"`
	URL       string         `json:"url,omitempty"`
	Live      string         `json:"live,omitempty"`
	Candidate string         `json:"candidate,omitempty"`
	Share     deploy.Percent `json:"share"`
	Replicas  []Replica      `json:"replicas,omitempty"`
	// Problem is why the environment cannot serve, or why what it serves cannot
	// be written down, with what to do; empty when all is well.
	Problem string `json:"problem,omitempty"`
}

// Replica is one replica in a Status.
type Replica struct {
	Version string `json:"version"`
	deploy.Replica
}
