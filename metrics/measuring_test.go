package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

func TestMeasure(t *testing.T) {
	revision := func(version string) deploy.Revision {
		return deploy.NewRevision("hello", deploy.Environment{Name: "production"}, deploy.Image{Repository: "r", Digest: "sha256:" + version, Version: version}, nil)
	}
	subject := Subject{App: "hello", Environment: "production", Live: revision("1.0.0"), Candidate: revision("1.1.0")}
	secret := func(name string) (string, bool) { return "hunter2", name == "TOKEN" }
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
		"no secret":         {deploy.Metric{Name: "web", Address: server, Token: "OTHER"}, "", "metric web: no value for the secret OTHER"},
		"no such preset":    {deploy.Metric{Name: "web", Prometheus: server, Preset: "none"}, "", "metric web: "},
		"a wrong condition": {deploy.Metric{Name: "few", Conditions: &deploy.Conditions{Success: "result.eror < 1.0"}}, "", "metric few: success: "},
		"wrong counting":    {deploy.Metric{Name: "few", Conditions: &deploy.Conditions{Success: "result.errors < 1.0", Count: 3}}, "", "no interval"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Measure([]deploy.Metric{c.metric}, subject, 0, secret)
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
