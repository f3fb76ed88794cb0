package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

func TestMeasure(t *testing.T) {
	revision := func(version string) deploy.Revision {
		return deploy.NewRevision("hello", deploy.Environment{Name: "production"}, deploy.Image{Repository: "r", Digest: "sha256:" + version, Version: version}, nil)
	}
	subject := Subject{App: "hello", Environment: "production", Live: revision("1.0.0"), Candidate: revision("1.1.0")}
	secret := func(name string) (string, bool) { return "hunter2", name == "TOKEN" || name == "TENANT" }
	const server = "http://127.0.0.1:9090"
	for name, c := range map[string]struct {
		metric deploy.Metric
		// want is sources, names, rules and judges; failed what the error says.
		want   string
		failed string
	}{
		"requests":          {deploy.Metric{Name: "web", Prometheus: server, Preset: "traefik", Token: "TOKEN"}, "1 [web] [{web errors 0 0% 0 0% false true}] []", ""},
		"events":            {deploy.Metric{Name: "oom", Prometheus: server, Errors: `oom_total{version="{{.Version}}"}`}, "1 [oom] [{oom 0 0% 0 0% false false}] []", ""},
		"a value":           {deploy.Metric{Name: "cpu", Prometheus: server, Preset: "cpu", Ratio: 1.5}, "1 [cpu] [] [*analysis.ResourceLimit]", ""},
		"recorded traffic":  {deploy.Metric{Name: "web", Address: server}, "1 [web] [{web errors 0 0% 0 0% false true}] []", ""},
		"a quantile":        {deploy.Metric{Name: "p99", Quantile: 0.99, Longest: time.Second}, "0 [] [] [*analysis.LatencyLimit]", ""},
		"conditions":        {deploy.Metric{Name: "few", Conditions: &deploy.Conditions{Success: "result.errors < 1.0"}}, "0 [] [] [*analysis.Thresholds]", ""},
		"headers":           {deploy.Metric{Name: "web", Address: server, Headers: map[string]string{"X-Scope-OrgID": "TENANT"}}, "1 [web] [{web errors 0 0% 0 0% false true}] []", ""},
		"no header":         {deploy.Metric{Name: "web", Address: server, Headers: map[string]string{"X-Scope-OrgID": "OTHER"}}, "", "metric web: no value for the secret OTHER"},
		"absent matchers":   {deploy.Metric{Name: "web", Prometheus: server, Requests: "a", Errors: `code=~"5.."`, ErrorsMayBeAbsent: true}, "", "errors-may-be-absent is about a selector"},
		"no secret":         {deploy.Metric{Name: "web", Address: server, Token: "OTHER"}, "", "metric web: no value for the secret OTHER"},
		"no such preset":    {deploy.Metric{Name: "web", Prometheus: server, Preset: "none"}, "", "metric web: "},
		"a wrong condition": {deploy.Metric{Name: "few", Conditions: &deploy.Conditions{Success: "result.eror < 1.0"}}, "", "metric few: success: "},
		"wrong counting":    {deploy.Metric{Name: "few", Conditions: &deploy.Conditions{Success: "result.errors < 1.0", Count: 3}}, "", "no interval"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Measure([]deploy.Metric{c.metric}, subject, 0, Means{Secret: secret})
			if c.failed != "" {
				if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), c.failed) || strings.Contains(err.Error(), "hunter2") {
					t.Fatalf("%v, want a usage error: %s", err, c.failed)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var judges []string
			for _, j := range m.Judges {
				judges = append(judges, fmt.Sprintf("%T", j))
			}
			if diff := cmp.Diff(c.want, fmt.Sprint(len(m.Sources), m.Names, m.Rules, judges)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a metric says of itself reaches its source and its judge.
func TestMeasureHeedsEveryKey(t *testing.T) {
	secret := func(string) (string, bool) { return "tenant-7", true }
	m, err := Measure([]deploy.Metric{
		{
			Name: "web", Prometheus: "http://127.0.0.1:9090", Namespace: "shop", Requests: `r{n="{{.Namespace}}"}`, Errors: `f{n="{{.Namespace}}"}`,
			ErrorsMayBeAbsent: true, Latency: `l_bucket{n="{{.Namespace}}"}`, LatencyUnit: time.Millisecond, Headers: map[string]string{"X-Scope-OrgID": "TENANT"},
		},
		{Name: "cpu", Prometheus: "http://127.0.0.1:9090", Preset: "cpu", Ratio: 1.5, Least: 0.1},
	}, Subject{App: "hello"}, 0, Means{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	p := m.Sources[0].(*Prometheus)
	if got := fmt.Sprint(p.selectors[candidate]); got != `[{0 r{n="shop"}} {2 l_bucket{n="shop"}} {1 f{n="shop"}}]` {
		t.Errorf("asks for %s", got)
	}
	if !p.query.ErrorsMayBeAbsent || p.query.LatencyUnit != time.Millisecond {
		t.Errorf("%+v", p.query)
	}
	if limit := m.Judges[0].(*analysis.ResourceLimit); limit.Least != 0.1 {
		t.Errorf("%+v", limit)
	}
	access := p.client.server.Access
	if got := access.Headers["X-Scope-OrgID"].Reveal(); got != "tenant-7" {
		t.Errorf("sends %q", got)
	}
	if got := access.scrub("no such tenant: tenant-7"); got != "no such tenant: ***" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%+v", access); strings.Contains(got, "tenant-7") {
		t.Errorf("it is printed: %s", got)
	}
}

func TestHeadersOfSeveralLinesAreRefused(t *testing.T) {
	_, err := Measure([]deploy.Metric{{Name: "web", Address: "http://127.0.0.1:1", Headers: map[string]string{"X": "TENANT"}}}, Subject{}, 0,
		Means{Secret: func(string) (string, bool) { return "hunter\n2", true }})
	if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), "the secret TENANT cannot be sent in the header X") || strings.Contains(err.Error(), "hunter") {
		t.Error(err)
	}
}
