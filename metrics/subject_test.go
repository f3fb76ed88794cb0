package metrics

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slipway-ci/slipway/deploy"
)

// nasty has a name that would end a quoted text, or a regular expression.
func nasty() Subject {
	s := versions()
	s.App = `a"b\c.*` + "`\n'"
	return s
}

func TestQueriesAreFilledIn(t *testing.T) {
	for _, c := range []struct {
		query           string
		live, candidate string
	}{
		{`r{v="{{.Version}}"}`, `r{v="1"}`, `r{v="2"}`},
		{`r{v="{{.Revision}}",e="{{.Environment}}"}`, `r{v="aaa",e="production"}`, `r{v="bbb",e="production"}`},
		{`r{v="{{if eq .Side "live"}}stable{{else}}canary{{end}}"}`, `r{v="stable"}`, `r{v="canary"}`},
		{`r{b="{{.Backend}}"}`, `r{b="a\x22b\\c.*\x60\x0a\x27-aaa"}`, `r{b="a\x22b\\c.*\x60\x0a\x27-bbb"}`},
		{`r{a=~"{{.App | regex}}"}`, `r{a=~"a\x22b\\\\c\\.\\*\x60\x0a\x27"}`, `r{a=~"a\x22b\\\\c\\.\\*\x60\x0a\x27"}`},
	} {
		p, err := NewPrometheus(Server{Address: "http://127.0.0.1:1"}, Query{Name: "n", Value: c.query}, nasty())
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if p.values[live] != c.live || p.values[candidate] != c.candidate {
			t.Errorf("%s became\n%s\n%s", c.query, p.values[live], p.values[candidate])
		}
	}
}

// A baseline takes the place of the live version, and is told from it.
func TestQueriesOfABaseline(t *testing.T) {
	s := versions()
	s.Live = s.Live.AsBaseline(2)
	p, err := NewPrometheus(Server{Address: "http://127.0.0.1:1"}, Query{Name: "n", Value: `r{r="{{.Revision}}",s="{{.Side}}",b="{{.Backend}}",v="{{.Version}}"}`}, s)
	if err != nil {
		t.Fatal(err)
	}
	if want := `r{r="aaa-baseline",s="baseline",b="` + s.App + `-aaa-baseline",v="1"}`; p.values[live] != want {
		t.Errorf("it became %s, not %s", p.values[live], want)
	}
	if want := `r{r="bbb",s="candidate",b="` + s.App + `-bbb",v="2"}`; p.values[candidate] != want {
		t.Errorf("it became %s, not %s", p.values[candidate], want)
	}
	if s.told(live) != "the baseline" || versions().told(live) != "the live version" || s.told(candidate) != "the new version" {
		t.Errorf("they are called %s, %s and %s", s.told(live), versions().told(live), s.told(candidate))
	}
	// One that takes the baseline for the candidate would hold it against itself.
	q := Query{Name: "n", Requests: `r{v="{{if eq .Side "live"}}stable{{else}}canary{{end}}"}`, Errors: `code="500"`}
	if _, err := NewPrometheus(Server{Address: "http://127.0.0.1:1"}, q, s); !deploy.IsUsage(err) || !strings.Contains(err.Error(), `r{v="canary"} is the same for the baseline and for the new version`) {
		t.Errorf("compared with itself: %v", err)
	}
	if _, err := NewPrometheus(Server{Address: "http://127.0.0.1:1"}, q, versions()); err != nil {
		t.Error(err)
	}
}

// What was escaped has to be the same text again for a Prometheus.
func TestEscapesMeanTheText(t *testing.T) {
	for _, text := range []string{nasty().App, "plain", `\`, `\\n`, "日本", "", "\x00\x7f"} {
		for _, quote := range []string{`"`, `'`} {
			ms, err := parseMatchers("a=" + quote + value{text: text}.String() + quote)
			if err != nil || len(ms) != 1 || ms[0].equal != text {
				t.Errorf("%q became %+v, %v", text, ms, err)
			}
		}
	}
}

func TestReadyMadeQueriesOfAllPresets(t *testing.T) {
	s := versions()
	s.Namespace = "shop"
	for name, want := range map[string][]string{
		"traefik": {
			`traefik_service_requests_total{ service=~"shop-shop-bbb-(http-)?[0-9a-z]+(-grpc)?@kubernetes[a-z]*" }`,
			`traefik_service_request_duration_seconds_bucket{ service=~"shop-shop-bbb-(http-)?[0-9a-z]+(-grpc)?@kubernetes[a-z]*" }`,
		},
		"istio": {
			`istio_requests_total{ reporter="destination",destination_workload_namespace="shop",destination_workload="shop-bbb" }`,
			`istio_request_duration_milliseconds_bucket{ reporter="destination",destination_workload_namespace="shop",destination_workload="shop-bbb" }`,
		},
		"nginx": {
			`nginx_ingress_controller_requests{ namespace="shop",service="shop-bbb" }`,
			`nginx_ingress_controller_request_duration_seconds_bucket{ namespace="shop",service="shop-bbb" }`,
		},
		"linkerd": {
			`response_total{ namespace="shop",deployment="shop-bbb",direction="inbound" }`,
			`response_latency_ms_bucket{ namespace="shop",deployment="shop-bbb",direction="inbound" }`,
		},
		"envoy-gateway": {`envoy_cluster_upstream_rq_xx{ own="1" }`, `envoy_cluster_upstream_rq_time_bucket{ own="1" }`},
		"http": {
			`http_request_duration_seconds_count{ namespace="shop",pod=~"shop-bbb-.*" }`,
			`http_request_duration_seconds_bucket{ namespace="shop",pod=~"shop-bbb-.*" }`,
		},
		"http-native": {
			`http_request_duration_seconds{ namespace="shop",pod=~"shop-bbb-.*" }`,
			`http_request_duration_seconds{ namespace="shop",pod=~"shop-bbb-.*" }`,
		},
		"restarts": {`kube_pod_container_status_restarts_total{ namespace="shop",pod=~"shop-bbb-.*" }`},
		"cpu":      {`avg(sum by (pod) (rate(container_cpu_usage_seconds_total{ namespace="shop",pod=~"shop-bbb-.*",container!="",container!="POD" }[2m])))`},
		"memory":   {`avg(sum by (pod) (container_memory_working_set_bytes{ namespace="shop",pod=~"shop-bbb-.*",container!="",container!="POD" }))`},
	} {
		q := Query{Name: "n", Preset: name}
		if name == "envoy-gateway" {
			q.Select = `own="1"`
		}
		p, err := NewPrometheus(Server{Address: "http://127.0.0.1:1"}, q, s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, sel := range p.selectors[candidate] {
			got = append(got, sel.query)
		}
		if v := p.values[candidate]; v != "" {
			got = append(got, v)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s asks for\n%s", name, strings.Join(got, "\n"))
		}
		if kind := q.Kind(); (kind == KindValue) != (name == "cpu" || name == "memory") || kind == "" {
			t.Errorf("%s gives %s", name, kind)
		}
	}
	if len(Presets()) != 10 {
		t.Errorf("there are presets that are not held here: %v", Presets())
	}
}

// As Traefik 3.6 and its forerunners call services.
func TestTraefiksServicesAreFound(t *testing.T) {
	s := versions()
	s.Namespace = "prod"
	p, err := NewPrometheus(Server{Address: "http://127.0.0.1:1"}, Query{Preset: "traefik"}, s)
	if err != nil {
		t.Fatal(err)
	}
	_, ms, ok := parseSelector(p.selectors[candidate][0].query)
	if !ok {
		t.Fatalf("not a selector: %s", p.selectors[candidate][0].query)
	}
	for service, want := range map[string]bool{
		"prod-shop-bbb-http-8080@kubernetesgateway":                     true,
		"prod-shop-bbb-8080@kubernetesgateway":                          true,
		"prod-shop-bbb-8080-grpc@kubernetesgateway":                     true,
		"prod-shop-bbb-web@kubernetescrd":                               true,
		"prod-shop-bbb-80@kubernetes":                                   true,
		"prod-shop-aaa-http-8080@kubernetesgateway":                     false,
		"prod-shop-bbb-old-http-8080@kubernetesgateway":                 false,
		"httproute-prod-shop-gw-prod-gw-ep-web-0-wrr@kubernetesgateway": false,
	} {
		if got := ms.match(model.Metric{"service": model.LabelValue(service)}); got != want {
			t.Errorf("%s: %v", service, got)
		}
	}
}

// The labels and values are what these programs write.
func TestPresetsKnowAFailedRequest(t *testing.T) {
	for name, c := range map[string]struct{ good, bad model.Metric }{
		"traefik":       {model.Metric{"code": "404"}, model.Metric{"code": "502"}},
		"envoy-gateway": {model.Metric{"envoy_response_code_class": "4"}, model.Metric{"envoy_response_code_class": "5"}},
		"istio":         {model.Metric{"response_code": "200"}, model.Metric{"response_code": "0"}},
		"nginx":         {model.Metric{"status": "4xx"}, model.Metric{"status": "5xx"}},
		"linkerd":       {model.Metric{"classification": "success"}, model.Metric{"classification": "failure"}},
		"http":          {model.Metric{"http_response_status_code": "499"}, model.Metric{"http_response_status_code": "500"}},
		"http-native":   {model.Metric{"status": "200"}, model.Metric{"status": "503"}},
	} {
		q := Query{Preset: name, Select: `own="1"`}
		p, err := NewPrometheus(Server{Address: "http://127.0.0.1:1"}, q, versions())
		if err != nil {
			t.Fatal(err)
		}
		pick := p.choose([]*object{{labels: c.good}})
		if pick == nil || pick.match(c.good) || !pick.match(c.bad) {
			t.Errorf("%s: takes %v for good: %v, and %v for bad: %v", name, c.good, pick != nil && !pick.match(c.good), c.bad, pick != nil && pick.match(c.bad))
		}
	}
}

func TestWrongUseIsToldBeforeAnythingIsAsked(t *testing.T) {
	fine := Server{Address: "http://127.0.0.1:1"}
	requests := `r{v="{{.Version}}"}`
	for name, c := range map[string]struct {
		server    Server
		query     Query
		why, hint string
	}{
		"nothing":               {fine, Query{Name: "n"}, "asks for nothing", "traefik"},
		"a preset unknown":      {fine, Query{Preset: "nginy"}, `no preset "nginy"`, "valid presets: cpu, envoy-gateway,"},
		"envoy without select":  {fine, Query{Preset: "envoy-gateway"}, "cannot know which series are whose", "envoy_cluster_name"},
		"requests alone":        {fine, Query{Requests: requests}, "does not say which of them failed", `code=~"5.."`},
		"errors of no requests": {fine, Query{Errors: `code="500"`}, "picks errors among requests, and there are none", "add requests"},
		"a value and counts":    {fine, Query{Name: "n", Value: "up", Latency: "l"}, "cannot be combined", ""},
		"a value without name":  {fine, Query{Value: "up"}, "needs a name", ""},
		"a field unknown":       {fine, Query{Requests: `r{v="{{.Versio}}"}`, Errors: `code="500"`}, "can't evaluate field Versio", "{{.Version}}"},
		"a template not closed": {fine, Query{Requests: `r{v="{{.Version"}`, Errors: `code="500"`}, "requests", "{{.Version}}"},
		"a range":               {fine, Query{Requests: requests + "[5m]", Errors: `code="500"`}, "has a range", "raw samples"},
		"wrong matchers":        {fine, Query{Requests: requests, Errors: `code=~"5..`}, "column 7: the quotes of", `code=~"5.."`},
		"a wrong pattern":       {fine, Query{Requests: requests, Errors: `code=~"("`}, "not a regular expression", ""},
		"a wrong select":        {fine, Query{Preset: "http", Select: `{version="1"}`}, "select: column 1: expected a label", "between braces"},
		"a negative unit":       {fine, Query{Latency: "l", LatencyUnit: -time.Second}, "the unit of durations", ""},
		"no address":            {Server{Address: "prometheus:9090"}, Query{Name: "n", Value: "up"}, `"prometheus:9090" is not an address`, "http://"},
		"a password in it":      {Server{Address: "http://kim:pa55@host"}, Query{Name: "n", Value: "up"}, "has a user in it", "secrets"},
		"a broken one with it":  {Server{Address: "ftp://kim:pa55@host"}, Query{Name: "n", Value: "up"}, "is not an address", ""},
		"token and user":        {Server{Address: "http://h", Access: Access{User: "kim", Token: deploy.KnownSecret("T", "1", "x")}}, Query{Name: "n", Value: "up"}, "a token and a user", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewPrometheus(c.server, c.query, versions())
			if !deploy.IsUsage(err) || !strings.Contains(err.Error(), c.why) || deploy.HintOf(err) == "" || !strings.Contains(deploy.HintOf(err), c.hint) {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error(), "pa55") {
				t.Errorf("tells a password: %v", err)
			}
		})
	}
}

func FuzzMatchers(f *testing.F) {
	for _, text := range []string{`code=~"5.."`, `a="b", c!~'d|e',`, "a=`b`", `a="\x22"`, `a="`, `a`, `,`, `a="b"c`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ms, err := parseMatchers(text)
		if err == nil && len(ms) == 0 && strings.TrimSpace(text) != "" {
			t.Errorf("%q has no matchers, and that is no error", text)
		}
		ms.match(model.Metric{"a": "b"})
	})
}
