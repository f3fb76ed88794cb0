package analysis_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

func ExampleSequential() {
	judge := &analysis.Sequential{Margin: 0.5}
	judge.Remember(deploy.Traffic{Requests: 100000, Errors: 100})
	v := judge.Observe(analysis.Sample{
		At: 12 * time.Second, Share: 5,
		Live:      deploy.Traffic{Requests: 11400, Errors: 11},
		Candidate: deploy.Traffic{Requests: 600, Errors: 9},
	})
	fmt.Println(v.Decision, "for", v.Metric)
	fmt.Println(v.Why)
	// Output:
	// revert for errors
	// errors 1.5% against 0.096% on the live version, after 600 requests in 12 s; chance of this on an equal version below 1 in 20000
}

func ExampleReplay() {
	trace := `{"t": 1, "share": 0.05, "baseline": {"requests": 950, "errors": 1}, "canary": {"requests": 50, "errors": 50}}`
	if err := analysis.Replay(strings.NewReader(trace), os.Stdout, &analysis.ErrorLimit{Limit: 1}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"t":1,"verdict":"revert","metric":"errors","evidence":0,"eta":0,"why":"100.0% of 50 requests failed on the new version (50), the limit is 1%"}
}
