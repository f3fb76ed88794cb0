package deploy

import "time"

// Check is one question to a running version. Exactly one of Get and Run is
// set.
type Check struct {
	Name string
	// Get is a path (with query) that is requested from the version.
	Get string
	// Expect is a CEL expression over status (int), body (string), headers
	// (map of lower-case name to string) and duration (of the request). Empty
	// means status >= 200 && status < 400.
	Expect string
	// Run is a command with its arguments. It gets URL, VERSION and
	// ENVIRONMENT in its environment and passes by exit code 0.
	Run []string
	// Timeout bounds one attempt.
	Timeout time.Duration
	// Attempts is how often it is tried before it counts as failed; at least 1.
	Attempts int
}

// Defaults of a Check, used where slipway.yaml is silent.
const (
	DefaultCheckTimeout  = 10 * time.Second
	DefaultCheckAttempts = 3
)

// CheckResult is what came of a Check.
type CheckResult struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	// Detail says in one or a few lines why it failed: what was expected and
	// what came instead, or the last lines that a command printed.
	Detail   string        `json:"detail,omitempty"`
	Attempts int           `json:"attempts"`
	Took     time.Duration `json:"took"`
}
