package metrics

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Query is what a Prometheus is asked for one metric. Every text is a Go
// template over Fields, and is filled in once for each version.
type Query struct {
	// Name of the metric. Empty means that its counts are all traffic.
	Name string
	// Preset fills in what is empty below; see Presets.
	Preset string
	// Backend is what the version's service or workload is called where it
	// runs; the default is the Subject's, or {{.App}}-{{.Revision}}.
	Backend string
	// Select are the matchers that find the series of one version in a preset,
	// such as version="{{.Version}}".
	Select string

	// Requests selects counters of requests: web_requests_total{version="{{.Version}}"},
	// or native histograms. It has to be a selector, without functions: raw
	// samples are read, and nothing is extrapolated.
	Requests string
	// Errors are those of them that failed: matchers, such as code=~"5..", or a
	// selector of counters. A selector without Requests counts events, such
	// as restarts.
	Errors string
	// Latency selects histograms of durations: the _bucket series of classic
	// ones, or native ones.
	Latency string
	// LatencyUnit is what their bounds are given in; zero means a second.
	LatencyUnit time.Duration
	// ErrorsMayBeAbsent says that an Errors selector which finds nothing means
	// zero errors. Without it that is only so where Requests has the same
	// metric and the same labels, because a mistyped selector finds nothing
	// either.
	ErrorsMayBeAbsent bool

	// Value is any PromQL with one number for each version, or one for both if
	// it speaks of neither. It gives a gauge, and cannot be combined with
	// counts.
	Value string
}

// preset is a ready-made query.
type preset struct {
	// choose are matchers that find one version; empty where nobody can guess.
	choose            string
	requests, latency string
	// errors are alternatives: the first whose label the series have is used.
	errors []string
	unit   time.Duration
	value  string
}

// responseLabels are what instrumentation calls the status: the handlers of
// Prometheus' own libraries "code", others "status" or "status_code", and
// OpenTelemetry's conventions for HTTP "http_response_status_code".
var responseLabels = []string{
	`code=~"5.."`, `status=~"5.."`, `status_code=~"5.."`, `http_response_status_code=~"5.."`, `http_status_code=~"5.."`,
}

// perContainer leaves out the sums over a pod and the container that holds its
// network, which cAdvisor tells besides.
const perContainer = `namespace="{{.Namespace}}",pod=~"{{.Backend | regex}}-.*",container!="",container!="POD"`

// presets are the ready-made queries.
var presets = map[string]preset{
	// doc.traefik.io/traefik/observability/metrics/overview. Services carry the
	// name that pkg/provider/kubernetes/gateway gives them: in 3.6
	// NAMESPACE-SERVICE-http-PORT@kubernetesgateway (httproute.go), before it
	// without the http, and with -grpc behind the port (grpcroute.go). Those of
	// an IngressRoute end in @kubernetescrd, those of an Ingress in @kubernetes.
	"traefik": {
		choose:   `service=~"{{.Namespace | regex}}-{{.Backend | regex}}-(http-)?[0-9a-z]+(-grpc)?@kubernetes[a-z]*"`,
		requests: `traefik_service_requests_total{ {{.Select}} }`,
		errors:   []string{`code=~"5.."`},
		latency:  `traefik_service_request_duration_seconds_bucket{ {{.Select}} }`,
	},
	// envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats:
	// upstream_rq_xx, and upstream_rq_time in milliseconds. Envoy Gateway has
	// one cluster for all versions of a route,
	// unless one of its backendRefs has a filter: then they are called
	// httproute/NAMESPACE/ROUTE/rule/0/backend/0 and so on
	// (envoyproxy/gateway issue 7008), and which is which depends on the route.
	"envoy-gateway": {
		requests: `envoy_cluster_upstream_rq_xx{ {{.Select}} }`,
		errors:   []string{`envoy_response_code_class="5"`},
		latency:  `envoy_cluster_upstream_rq_time_bucket{ {{.Select}} }`,
		unit:     time.Millisecond,
	},
	// istio.io/latest/docs/reference/config/metrics. The server's own proxy
	// reports with reporter="destination". Response code 0 is a connection that
	// broke before an answer.
	"istio": {
		choose:   `reporter="destination",destination_workload_namespace="{{.Namespace}}",destination_workload="{{.Backend}}"`,
		requests: `istio_requests_total{ {{.Select}} }`,
		errors:   []string{`response_code=~"5..|0"`},
		latency:  `istio_request_duration_milliseconds_bucket{ {{.Select}} }`,
		unit:     time.Millisecond,
	},
	// internal/ingress/metric/collectors/socket.go of kubernetes/ingress-nginx.
	// Statuses are 503, or 5xx with --report-status-classes. A Prometheus that
	// does not honor labels calls them exported_namespace and exported_service.
	"nginx": {
		choose:   `namespace="{{.Namespace}}",service="{{.Backend}}"`,
		requests: `nginx_ingress_controller_requests{ {{.Select}} }`,
		errors:   []string{`status=~"5.."`},
		latency:  `nginx_ingress_controller_request_duration_seconds_bucket{ {{.Select}} }`,
	},
	// linkerd.io/2/reference/proxy-metrics. Latency is up to the first byte.
	"linkerd": {
		choose:   `namespace="{{.Namespace}}",deployment="{{.Backend}}",direction="inbound"`,
		requests: `response_total{ {{.Select}} }`,
		errors:   []string{`classification="failure"`},
		latency:  `response_latency_ms_bucket{ {{.Select}} }`,
		unit:     time.Millisecond,
	},
	// An app's own histogram, as prometheus.io/docs/practices/naming calls it,
	// with the pod's labels of a scrape in Kubernetes.
	"http": {
		choose:   `namespace="{{.Namespace}}",pod=~"{{.Backend | regex}}-.*"`,
		requests: `http_request_duration_seconds_count{ {{.Select}} }`,
		errors:   responseLabels,
		latency:  `http_request_duration_seconds_bucket{ {{.Select}} }`,
	},
	// The same as a native histogram, which has no series besides.
	"http-native": {
		choose:   `namespace="{{.Namespace}}",pod=~"{{.Backend | regex}}-.*"`,
		requests: `http_request_duration_seconds{ {{.Select}} }`,
		errors:   responseLabels,
		latency:  `http_request_duration_seconds{ {{.Select}} }`,
	},
	// docs/metrics/workload/pod-metrics.md of kubernetes/kube-state-metrics, which
	// is scraped once for all pods. Events: nobody counts the occasions.
	"restarts": {
		choose: `namespace="{{.Namespace}}",pod=~"{{.Backend | regex}}-.*"`,
		errors: []string{`kube_pod_container_status_restarts_total{ {{.Select}} }`},
	},
	// github.com/google/cadvisor/blob/master/docs/storage/prometheus.md, as the
	// kubelet tells it. Cores and bytes of one replica, on average.
	"cpu": {
		choose: perContainer,
		value:  `avg(sum by (pod) (rate(container_cpu_usage_seconds_total{ {{.Select}} }[2m])))`,
	},
	"memory": {
		choose: perContainer,
		value:  `avg(sum by (pod) (container_memory_working_set_bytes{ {{.Select}} }))`,
	},
}

// Presets are the names of the ready-made queries.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// defaultBackend is what a version is called.
const defaultBackend = "{{.App}}-{{.Revision}}"

// settled is a query with its preset filled in; errors has the alternatives.
func (q Query) settled() (settled Query, errors []string, err error) {
	if q.Backend == "" {
		q.Backend = defaultBackend
	}
	if q.Errors != "" {
		errors = []string{q.Errors}
	}
	if q.Preset != "" {
		p, known := presets[q.Preset]
		if !known {
			return q, nil, deploy.Usage("valid presets: "+strings.Join(Presets(), ", "), "%s: there is no preset %q", q.label(), q.Preset)
		}
		q, errors = q.filledFrom(p, errors)
		if q.Select == "" {
			return q, nil, deploy.Usage("add select with the matchers that find one version, such as envoy_cluster_name=\"…\"; it can speak of "+Fields,
				"%s: the preset %s cannot know which series are whose", q.label(), q.Preset)
		}
	}
	return q, errors, q.check(errors)
}

// filledFrom takes from a preset what is empty.
func (q Query) filledFrom(p preset, errors []string) (Query, []string) {
	for _, f := range []struct {
		own   *string
		ready string
	}{{&q.Select, p.choose}, {&q.Requests, p.requests}, {&q.Latency, p.latency}, {&q.Value, p.value}} {
		if *f.own == "" {
			*f.own = f.ready
		}
	}
	if len(errors) == 0 {
		errors = p.errors
	}
	if q.LatencyUnit == 0 {
		q.LatencyUnit = p.unit
	}
	return q, errors
}

// check refuses what makes no sense together.
func (q Query) check(errors []string) error {
	counts := q.Requests != "" || len(errors) > 0 || q.Latency != ""
	switch {
	case q.Value != "" && counts:
		return deploy.Usage("leave one of them out, or make two metrics", "%s: a value cannot be combined with requests, errors or latency", q.label())
	case q.Value == "" && !counts:
		return deploy.Usage("give it a preset ("+strings.Join(Presets(), ", ")+"), or requests and errors, latency, or a value", "%s: asks for nothing", q.label())
	case q.Value != "" && q.Name == "":
		return deploy.Usage("give it a name", "a value needs a name that it is told by")
	case q.Requests != "" && len(errors) == 0:
		return deploy.Usage(`add errors, such as code=~"5.."`, "%s: has requests and does not say which of them failed", q.label())
	case q.Requests == "" && len(errors) > 0 && areMatchers(errors[0]):
		return deploy.Usage("add requests, or select the series that count the errors", "%s: %s picks errors among requests, and there are none", q.label(), errors[0])
	}
	return q.checkDetails(errors)
}

// checkDetails refuses what says nothing beside the rest.
func (q Query) checkDetails(errors []string) error {
	switch {
	case q.ErrorsMayBeAbsent && len(errors) > 0 && areMatchers(errors[0]):
		return deploy.Usage("leave it out: where requests are found and none of them matches, there are no errors",
			"%s: errors-may-be-absent is about a selector of errors, and %s picks them among requests", q.label(), errors[0])
	case q.LatencyUnit < 0:
		return deploy.Usage("write 1s or 1ms", "%s: the unit of durations is %s", q.label(), q.LatencyUnit)
	}
	return nil
}

// label is what the metric is called in an error.
func (q Query) label() string {
	if q.Name == "" {
		return "metric of all traffic"
	}
	return "metric " + q.Name
}
