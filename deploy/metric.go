package deploy

import "time"

// Need is what a cluster tells of a replica.
type Need string

// The needs.
const (
	// NeedCPU is in cores, NeedMemory in bytes.
	NeedCPU    Need = "cpu"
	NeedMemory Need = "memory"
	// NeedRestarts is how often a container of it had to be started again.
	NeedRestarts Need = "restarts"
)

// Needs are all, in the order in which help texts list them.
var Needs = []Need{NeedCPU, NeedMemory, NeedRestarts}

// Metric is what the judge looks at beside the requests that the target counts.
// Where it comes from is said by Prometheus, Address or Kubernetes; with none of
// them, it is a rule about the target's own counts.
type Metric struct {
	// Name tells it from others in verdicts.
	Name string `json:"name"`
	// Prometheus is the address of one; Address is one that answers with
	// recorded traffic.
	Prometheus string `json:"prometheus,omitempty"`
	Address    string `json:"address,omitempty"`
	// Kubernetes is what the cluster that the environment is in tells of its
	// replicas, as a mean of those that are ready. Where the cluster has no
	// metrics API, Kubelets has those of its nodes asked.
	Kubernetes Need `json:"kubernetes,omitempty"`
	Kubelets   bool `json:"kubelets,omitempty"`
	// Token is the name of the secret that opens either; or User and the name of
	// the secret that is the Password.
	Token    string `json:"token,omitempty"`
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	// Headers are sent besides: the names of the secrets that are their values,
	// by the names of the headers.
	Headers map[string]string `json:"headers,omitempty"`
	// Every is how often it is asked; zero leaves that to who asks.
	Every time.Duration `json:"every,omitempty"`

	// Preset is a ready-made query; the texts below go over it. They are
	// templates about the version; see the room metrics.
	Preset string `json:"preset,omitempty"`
	// Namespace is where the app runs, as a cluster calls it.
	Namespace string `json:"namespace,omitempty"`
	Backend   string `json:"backend,omitempty"`
	Select    string `json:"select,omitempty"`
	Requests  string `json:"requests,omitempty"`
	Errors    string `json:"errors,omitempty"`
	Latency   string `json:"latency,omitempty"`
	Value     string `json:"value,omitempty"`
	// LatencyUnit is what bounds of durations are given in; zero is that of the
	// preset, or a second.
	LatencyUnit time.Duration `json:"latencyUnit,omitempty"`
	// ErrorsMayBeAbsent takes a selector of errors that finds nothing for no
	// errors.
	ErrorsMayBeAbsent bool `json:"errorsMayBeAbsent,omitempty"`

	// Ratio to the live version's value that must not be exceeded for a time of
	// For, and AtMost whatever the live version needs; zero is no limit.
	Ratio  float64       `json:"ratio,omitempty"`
	AtMost float64       `json:"atMost,omitempty"`
	For    time.Duration `json:"for,omitempty"`
	// Least is what is never too much of Ratio.
	Least float64 `json:"least,omitempty"`
	// Quantile of durations, between 0 and 1, that must not be above Longest.
	Quantile float64       `json:"quantile,omitempty"`
	Longest  time.Duration `json:"longest,omitempty"`
	// Conditions is a rule by fixed thresholds; nil is none.
	Conditions *Conditions `json:"conditions,omitempty"`
}

// Measured reports whether it has a source of its own.
func (m Metric) Measured() bool { return m.Prometheus != "" || m.Address != "" || m.Kubernetes != "" }

// Conditions are fixed thresholds with the counting rules of an analysis metric
// of Argo Rollouts.
type Conditions struct {
	// Success and Failure are expressions about one measurement; either may be
	// empty.
	Success string `json:"success,omitempty"`
	Failure string `json:"failure,omitempty"`
	// Interval between measurements; InitialDelay before the first.
	Interval     time.Duration `json:"interval,omitempty"`
	InitialDelay time.Duration `json:"initialDelay,omitempty"`
	// Count of measurements after which it is successful; zero is one, or no end
	// where there is an Interval.
	Count int `json:"count,omitempty"`
	// FailureLimit and InconclusiveLimit are how many may fail, or be neither.
	FailureLimit      int `json:"failureLimit,omitempty"`
	InconclusiveLimit int `json:"inconclusiveLimit,omitempty"`
}
