package config

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/slipway-ci/slipway/deploy"
)

// metric is what the judge looks at beside the requests that the target counts.
type metric struct {
	Name       checkName   `yaml:"name" jsonschema:"required" jsonschema_description:"A name by which verdicts call it, unlike that of any other metric in the list."`
	Prometheus *webAddress `yaml:"prometheus" jsonschema_description:"The address of a Prometheus, or of what speaks like one."`
	URL        *webAddress `yaml:"url" jsonschema_description:"An address that answers with recorded traffic."`
	Kubernetes *need       `yaml:"kubernetes" jsonschema_description:"What the cluster tells of the replicas of an environment in Kubernetes: cpu (cores), memory (bytes) or restarts, of one replica in the mean."`
	Kubelets   *truth      `yaml:"kubelets" jsonschema_description:"true: the kubelets of its nodes are asked, because the cluster has no metrics API; it needs the permission get nodes/proxy. Left out: false."`
	Token      *variable   `yaml:"token" jsonschema_description:"The environment variable whose value is sent as a bearer token."`
	User       *userName   `yaml:"user" jsonschema_description:"The user of basic authorization."`
	Password   *variable   `yaml:"password" jsonschema_description:"The environment variable whose value is the user's password."`
	Headers    *headers    `yaml:"headers" jsonschema_description:"Headers that are sent besides, such as X-Scope-OrgID, each with the environment variable that has its value."`
	Every      *limit      `yaml:"every" jsonschema_description:"How often it is asked. Left out: 5s."`

	Preset            *query `yaml:"preset" jsonschema_description:"A ready-made query: cpu, envoy-gateway, http, http-native, istio, linkerd, memory, nginx, restarts or traefik."`
	Namespace         *label `yaml:"namespace" jsonschema_description:"The namespace that the app runs in, as {{.Namespace}} of the presets and of other queries."`
	Backend           *query `yaml:"backend" jsonschema_description:"What the version's service or workload is called there. Left out: {{.App}}-{{.Revision}}, and in Kubernetes the name that it has there."`
	Select            *query `yaml:"select" jsonschema_description:"The matchers that find the series of one version in a preset."`
	Requests          *query `yaml:"requests" jsonschema_description:"A selector of counters of requests, or of native histograms."`
	Errors            *query `yaml:"errors" jsonschema_description:"Matchers of those that failed, or a selector of counters."`
	Latency           *query `yaml:"latency" jsonschema_description:"A selector of histograms of durations."`
	LatencyUnit       *unit  `yaml:"latency-unit" jsonschema_description:"The unit of their bounds: s, ms, us or ns. Left out: that of the preset, or s."`
	ErrorsMayBeAbsent *truth `yaml:"errors-may-be-absent" jsonschema_description:"true: a selector of errors that finds nothing means that there are none. Left out: false, and it is said that they are missing."`
	Value             *query `yaml:"value" jsonschema_description:"Any PromQL with one number for each version."`

	Ratio    *ratio    `yaml:"ratio" jsonschema_description:"How many times the live version's value is too much."`
	AtMost   *amount   `yaml:"at-most" jsonschema_description:"The largest value, or with quantile the longest duration, whatever the live version does."`
	Least    *positive `yaml:"least" jsonschema_description:"A value that is never too much by ratio, so that a version which needs twice next to nothing stays."`
	For      *limit    `yaml:"for" jsonschema_description:"How long a value has to be too large before the version is taken back. Left out: 1m."`
	Quantile *portion  `yaml:"quantile" jsonschema_description:"Which quantile of durations at-most is for, such as 0.99."`

	Success           *condition `yaml:"success" jsonschema_description:"A CEL expression that holds for a measurement that is well, such as result.errors / result.requests < 0.01."`
	Failure           *condition `yaml:"failure" jsonschema_description:"A CEL expression that holds for one that is not."`
	Interval          *limit     `yaml:"interval" jsonschema_description:"How long it is from one measurement to the next."`
	InitialDelay      *pause     `yaml:"initial-delay" jsonschema_description:"How long it is until the first one. Left out: 0s."`
	Count             *times     `yaml:"count" jsonschema_description:"After how many measurements it has passed. Left out: one, or no end with interval."`
	FailureLimit      *times     `yaml:"failure-limit" jsonschema_description:"How many may fail: more revert. Left out: 0."`
	InconclusiveLimit *times     `yaml:"inconclusive-limit" jsonschema_description:"How many may be neither well nor not: more hold. Left out: 0."`
}

// metricExamples show keys that are called alike elsewhere.
var metricExamples = map[string]string{ //nolint:gosec // secrets are named here, not told
	"name": "name: checkout", "token": "token: PROMETHEUS_TOKEN", "user": "user: slipway", "errors": `errors: code=~"5.."`,
	"latency": `latency: http_request_duration_seconds_bucket{version="{{.Version}}"}`, "ratio": "ratio: 1.5", "count": "count: 5",
	"every": "every: 15s", "least": "least: 0.1", "kubernetes": "kubernetes: memory",
}

func (m *metric) read(r *reader, p place) bool {
	return r.fieldsLike(reflect.ValueOf(m).Elem(), p, nil, metricExamples)
}

// metrics are those of a judge.
func (r *reader) metrics(list []metric) []deploy.Metric {
	var all []deploy.Metric
	seen := map[checkName]bool{}
	for i := range list {
		m := &list[i]
		if seen[m.Name] && r.good(&m.Name) {
			r.add(r.at(&m.Name).mark(), Error{
				Message: fmt.Sprintf("name: two metrics are called %s", quote(string(m.Name))),
				Hint:    "give each metric a name of its own",
			})
		}
		seen[m.Name] = true
		if !r.good(m) {
			continue
		}
		out, ok := r.metric(m)
		all = append(all, out)
		if !ok || r.rules.Metric == nil {
			continue
		}
		if err := r.rules.Metric(out); err != nil {
			r.add(r.at(&m.Name).mark(), Error{Message: clean(err.Error()), Hint: deploy.HintOf(err)})
		}
	}
	return all
}

// metric compiles one, and refuses what does not go together.
func (r *reader) metric(m *metric) (deploy.Metric, bool) {
	out := deploy.Metric{
		Name:       string(m.Name),
		Prometheus: string(or(m.Prometheus, "")), Address: string(or(m.URL, "")),
		Token: string(or(m.Token, "")), User: string(or(m.User, "")), Password: string(or(m.Password, "")),
		Kubernetes: deploy.Need(or(m.Kubernetes, "")), Kubelets: bool(or(m.Kubelets, false)),
		Every:   time.Duration(or(m.Every, 0)),
		Headers: or(m.Headers, nil), Namespace: string(or(m.Namespace, "")),
		LatencyUnit: units[or(m.LatencyUnit, "")], ErrorsMayBeAbsent: bool(or(m.ErrorsMayBeAbsent, false)),
		Preset: string(or(m.Preset, "")), Backend: string(or(m.Backend, "")), Select: string(or(m.Select, "")),
		Requests: string(or(m.Requests, "")), Errors: string(or(m.Errors, "")), Latency: string(or(m.Latency, "")), Value: string(or(m.Value, "")),
		Ratio: float64(or(m.Ratio, 0)), Least: float64(or(m.Least, 0)), For: time.Duration(or(m.For, 0)), Quantile: float64(or(m.Quantile, 0)),
	}
	out.Conditions = m.conditions()
	ok := r.together(m)
	if m.AtMost != nil {
		out.AtMost, out.Longest, ok = r.atMost(m, ok)
	}
	return out, ok
}

// together refuses keys that say nothing beside others, or without them.
func (r *reader) together(m *metric) bool {
	for _, not := range slices.Concat(r.sources(m), r.told(m), r.logins(m), r.limits(m)) {
		if not.wrong {
			return r.add(not.at.keyMark(), Error{Message: not.why, Hint: not.hint})
		}
	}
	return true
}

// clash is a combination of keys that may be wrong.
type clash struct {
	wrong     bool
	at        place
	why, hint string
}

// sources are clashes about where a metric comes from.
func (r *reader) sources(m *metric) []clash {
	queried := firstPlace(r, &m.Preset, &m.Namespace, &m.Backend, &m.Select, &m.Requests, &m.Errors, &m.Latency, &m.LatencyUnit, &m.ErrorsMayBeAbsent, &m.Value)
	own := m.Prometheus == nil && m.URL == nil && m.Kubernetes == nil
	return []clash{
		{m.Prometheus != nil && m.URL != nil, r.at(&m.URL), "url: prometheus says where it comes from, too", "keep one of them"},
		{queried.value != nil && m.Prometheus == nil, queried, queried.name + ": there is no Prometheus to ask", "add prometheus: http://…"},
		{m.Prometheus != nil && queried.value == nil, r.at(&m.Prometheus), "prometheus: nothing is asked of it", "add preset: traefik, requests, or value"},
		{
			own && m.Quantile == nil && m.conditions() == nil, r.at(m), "metrics: this metric measures nothing and has no rule",
			"add prometheus, url or kubernetes; or quantile with at-most, or success, which are about the requests that the target counts",
		},
		{m.LatencyUnit != nil && m.Latency == nil && m.Preset == nil, r.at(&m.LatencyUnit), "latency-unit: no durations are asked for", "add latency, or remove it"},
		{m.ErrorsMayBeAbsent != nil && m.Errors == nil, r.at(&m.ErrorsMayBeAbsent), "errors-may-be-absent: it is about a selector of errors", "add errors with a selector, or remove it"},
	}
}

// logins are clashes about how whoever is asked is entered.
func (r *reader) logins(m *metric) []clash {
	return []clash{
		{m.Token != nil && m.User != nil, r.at(&m.User), "user: token opens it already", "keep one of them"},
		{
			m.Headers != nil && m.Prometheus == nil && m.URL == nil, r.at(&m.Headers), "headers: there is nobody to send them to",
			"add prometheus or url, or remove it",
		},
		{
			m.Headers != nil && m.Headers.authorize() && (m.Token != nil || m.User != nil), r.at(&m.Headers), "headers: Authorization is sent by token, or by user and password",
			"keep one of them",
		},
		{(m.User == nil) != (m.Password == nil), firstPlace(r, &m.User, &m.Password), "user and password belong together", "add the other one, or remove it"},
	}
}

// told are clashes about what a cluster tells.
func (r *reader) told(m *metric) []clash {
	return []clash{
		{m.Kubernetes != nil && (m.Prometheus != nil || m.URL != nil), r.at(&m.Kubernetes), "kubernetes: prometheus or url says where it comes from, too", "keep one of them"},
		{m.Kubernetes != nil && m.Ratio == nil && m.AtMost == nil && m.conditions() == nil, r.at(&m.Kubernetes), "kubernetes: nothing is said of how much is too much", "add ratio: 1.5, at-most or success"},
		{
			m.Kubelets != nil && (m.Kubernetes == nil || *m.Kubernetes == need(deploy.NeedRestarts)), r.at(&m.Kubelets),
			"kubelets: they tell how much CPU and memory replicas take", "add kubernetes: cpu or kubernetes: memory, or remove it",
		},
	}
}

// limits are clashes about the rules of a metric.
func (r *reader) limits(m *metric) []clash {
	counted := firstPlace(r, &m.Interval, &m.InitialDelay, &m.Count, &m.FailureLimit, &m.InconclusiveLimit)
	ofValue := m.Ratio != nil || m.AtMost != nil && m.Quantile == nil
	return []clash{
		{m.Quantile != nil && m.AtMost == nil, r.at(&m.Quantile), "quantile: at-most is missing", "add at-most: 300ms"},
		{
			m.Ratio != nil && m.Prometheus == nil && m.Kubernetes == nil, r.at(&m.Ratio), "ratio: a value is compared by it, and there is none",
			"add prometheus and value, a preset such as cpu, or kubernetes",
		},
		{m.Least != nil && m.Ratio == nil, r.at(&m.Least), "least: it is about ratio", "add ratio: 1.5, or remove it"},
		{m.For != nil && !ofValue, r.at(&m.For), "for: it is about ratio, or about at-most of a value", "add one of them, or remove it"},
		{
			counted.value != nil && m.conditions() == nil, counted, counted.name + ": it counts measurements, and nothing is said of them",
			"add success with an expression",
		},
	}
}

// conditions are those of the metric; nil where it has none.
func (m *metric) conditions() *deploy.Conditions {
	if m.Success == nil && m.Failure == nil {
		return nil
	}
	return &deploy.Conditions{
		Success:           string(or(m.Success, "")),
		Failure:           string(or(m.Failure, "")),
		Interval:          time.Duration(or(m.Interval, 0)),
		InitialDelay:      time.Duration(or(m.InitialDelay, 0)),
		Count:             int(or(m.Count, 0)),
		FailureLimit:      int(or(m.FailureLimit, 0)),
		InconclusiveLimit: int(or(m.InconclusiveLimit, 0)),
	}
}

// firstPlace is where the first of the values was read that is there.
func firstPlace(r *reader, pointers ...any) place {
	for _, p := range pointers {
		if at := r.at(p); at.value != nil {
			return at
		}
	}
	return place{}
}

// atMost is a duration of a quantile, otherwise a number.
func (r *reader) atMost(m *metric, ok bool) (number float64, longest time.Duration, _ bool) {
	at := r.at(&m.AtMost)
	if m.Quantile == nil {
		if m.AtMost.number <= 0 {
			return 0, 0, r.wrong(at, "a number above 0; a duration is for quantile", "write it like at-most: 0.8")
		}
		return m.AtMost.number, 0, ok
	}
	if m.AtMost.duration <= 0 {
		return 0, 0, r.wrong(at, "a duration", "write it like at-most: 300ms")
	}
	return 0, m.AtMost.duration, ok
}

// The values of a metric.
type (
	// need is one of deploy.Needs.
	need string
	// unit is one of units.
	unit string
	// headers are the names of variables by the names of headers.
	headers    map[string]string
	webAddress string
	query      string
	condition  string
	times      int
	portion    float64
	positive   float64
	// amount is a number or a duration.
	amount struct {
		number   float64
		duration time.Duration
	}
)

var (
	webForm = newForm(`^https?://[^\s/?#@]+(/[^\s#]*)?$`,
		"an http or https address", "write one such as http://prometheus:9090; what opens it goes into token, or user and password")
	headerForm = newForm(`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`,
		"the name of a header", "write one such as X-Scope-OrgID")
	queryForm = newForm(`^[^\x00-\x08\x0b-\x1f]{1,1000}$`, "a text of up to 1000 characters", "write it in quotes")
)

// units are what bounds of durations may be given in.
var units = map[unit]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}

// unitNames are in the order of size.
var unitNames = []string{"s", "ms", "us", "ns"}

func (v *unit) read(r *reader, p place) bool { return readWord(r, p, v, unitNames) }
func (v *need) read(r *reader, p place) bool { return readWord(r, p, v, wordsOf(deploy.Needs)) }

func (v *headers) read(r *reader, p place) bool {
	*v = headers{}
	written := map[string]bool{}
	return r.named(p, headerForm, func(name string, at place) bool {
		at.example = "X-Scope-OrgID: METRICS_TENANT"
		key := http.CanonicalHeaderKey(name)
		switch {
		case key == "Host":
			return r.add(at.keyMark(), Error{Message: at.name + ": the address says which host is asked", Hint: "remove it"})
		case written[key]:
			return r.add(at.keyMark(), Error{Message: at.name + ": this header is there twice", Hint: "remove it"})
		}
		written[key] = true
		var from variable
		ok := from.read(r, at)
		(*v)[name] = string(from)
		return ok
	})
}

// authorize reports whether one of them says who asks.
func (v *headers) authorize() bool {
	for name := range *v {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			return true
		}
	}
	return false
}

func (v *webAddress) read(r *reader, p place) bool { return readText(r, p, v, webForm) }
func (v *query) read(r *reader, p place) bool      { return readText(r, p, v, queryForm) }
func (v *condition) read(r *reader, p place) bool  { return readText(r, p, v, queryForm) }

func (*times) bounds() (low, high int) { return 0, 10000 }

func (v *times) read(r *reader, p place) bool { return readInt(r, p, v) }

func (v *portion) read(r *reader, p place) bool {
	n, ok := decimal(p.value)
	if !ok || n <= 0 || n >= 1 {
		return r.wrong(p, "a number above 0 and below 1", "")
	}
	*v = portion(n)
	return true
}

func (v *positive) read(r *reader, p place) bool {
	n, ok := decimal(p.value)
	if !ok || n <= 0 {
		return r.wrong(p, "a number above 0", "")
	}
	*v = positive(n)
	return true
}

func (v *amount) read(r *reader, p place) bool {
	if n, ok := decimal(p.value); ok && n > 0 {
		v.number = n
		return true
	}
	if s, ok := text(p.value); ok && durationForm.pattern.MatchString(s) {
		d, err := time.ParseDuration(s)
		v.duration = d
		if err == nil && d > 0 {
			return true
		}
	}
	return r.wrong(p, "a number above 0, or a duration such as 300ms", "")
}

// JSONSchema implements the hook of the schema library; so do those below.
func (webAddress) JSONSchema() *jsonschema.Schema { return webForm.schema() }
func (query) JSONSchema() *jsonschema.Schema      { return queryForm.schema() }
func (condition) JSONSchema() *jsonschema.Schema  { return queryForm.schema() }
func (times) JSONSchema() *jsonschema.Schema      { return integers((*times)(nil)) }

func (unit) JSONSchema() *jsonschema.Schema { return wordSchema(unitNames) }
func (need) JSONSchema() *jsonschema.Schema { return wordSchema(wordsOf(deploy.Needs)) }

func (headers) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", PropertyNames: headerForm.schema(), AdditionalProperties: variable("").JSONSchema()}
}

func (portion) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "number", ExclusiveMinimum: number(0), ExclusiveMaximum: number(1)}
}

func (positive) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "number", ExclusiveMinimum: number(0)}
}

func (amount) JSONSchema() *jsonschema.Schema {
	return oneOfThese(durationForm.schema(), &jsonschema.Schema{Type: "number", ExclusiveMinimum: number(0)})
}
