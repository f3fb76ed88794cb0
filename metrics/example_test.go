package metrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/slipway-ci/slipway/metrics"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// A source is watched from before the rollout on. What it says goes into the
// samples that judges are shown.
func Example() {
	answer := `{"t": 1, "share": 0.05, "baseline": {"requests": 10, "errors": 0}, "canary": {"requests": 0, "errors": 0}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, answer) }))
	defer server.Close()

	checkout, err := metrics.NewHTTP(metrics.Endpoint{Name: "checkout", Address: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	sources := metrics.Sources{checkout}
	if _, err := sources.Measure(context.Background()); err != nil {
		fmt.Println(err)
		return
	}

	answer = `{"t": 15, "share": 0.05, "baseline": {"requests": 950, "errors": 1}, "canary": {"requests": 50, "errors": 4}}`
	reading, err := sources.Measure(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	sample := analysis.Sample{At: 15 * time.Second, Share: 5}
	reading.AddTo(&sample)

	success, err := metrics.Condition("checkout", metrics.KindTraffic, "result.errors / result.requests < 0.05")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println((&analysis.Thresholds{Metric: "checkout", Success: success}).Observe(sample).Why)
	// Output: 1 of 1 measurements of checkout failed, the failureLimit is 0
}
