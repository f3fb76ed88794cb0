package main

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// judging are the flags of `slipway judge`.
type judging struct {
	alpha, alphaPromote, margin, ratio float64
	steps                              []float64
	warmUp, dwell                      time.Duration
}

func (c *CLI) judgeCommand() *cobra.Command {
	var f judging
	cmd := &cobra.Command{
		Use: "judge", Short: "Say what the judge makes of recorded traffic: a trace in, one verdict a line out", Args: noArguments,
		Long: "Reads a trace from standard input, one JSON object a line, and writes one verdict for\n" +
			"each before it reads the next, so that a caller can change the share on \"advance\".",
		RunE: func(*cobra.Command, []string) error { return c.judge(f) },
	}
	flags := cmd.Flags()
	flags.Float64Var(&f.alpha, "alpha", analysis.DefaultAlpha, "chance of reverting a version that is not worse")
	flags.Float64Var(&f.alphaPromote, "alpha-promote", analysis.DefaultAlphaPromote, "chance of promoting one that is worse by the margin")
	flags.Float64Var(&f.margin, "margin", float64(analysis.DefaultMargin), "by how many percentage points errors of all users may rise")
	flags.Float64Var(&f.ratio, "latency-ratio", analysis.DefaultLatencyRatio, "by how much quantiles of durations may rise")
	flags.Float64SliceVar(&f.steps, "steps", []float64{5, 25, 50, 100}, "shares that the rollout goes through, in percent")
	flags.DurationVar(&f.dwell, "dwell", analysis.DefaultDwell, "least time at a share")
	flags.DurationVar(&f.warmUp, "warm-up", 0, "how long durations of the new version are not judged")
	return cmd
}

func (c *CLI) judge(f judging) error {
	j, err := f.sequential()
	if err != nil {
		return err
	}
	err = analysis.Replay(c.Stdin, c.Stdout, j)
	if wrong, ok := errors.AsType[*analysis.TraceError](err); ok {
		return deploy.Usage("docs/judge.md shows the form of a trace", "%w", wrong)
	}
	return err
}

// sequential is the judge of the flags.
func (f judging) sequential() (*analysis.Sequential, error) {
	probability := func(p float64) bool { return p > 0 && p < 1 }
	switch {
	case !probability(f.alpha) || !probability(f.alphaPromote):
		return nil, deploy.Usage("use numbers between 0 and 1, such as 0.01", "--alpha %v and --alpha-promote %v are chances", f.alpha, f.alphaPromote)
	case f.margin <= 0 || f.margin >= 100:
		return nil, deploy.Usage("use percentage points such as 0.1", "--margin %v is not between 0 and 100", f.margin)
	case f.ratio <= 1:
		return nil, deploy.Usage("use a factor such as 1.25", "--latency-ratio %v is not above 1", f.ratio)
	case !ascending(f.steps):
		return nil, deploy.Usage("use shares such as 5,25,50,100", "--steps %v do not ascend to 100", f.steps)
	}
	j := &analysis.Sequential{
		Alpha: f.alpha, AlphaPromote: f.alphaPromote, Margin: deploy.Percent(f.margin), LatencyRatio: f.ratio, WarmUp: f.warmUp, Dwell: f.dwell,
	}
	if f.dwell == 0 {
		j.Dwell = -1 // none
	}
	for _, s := range f.steps {
		j.Steps = append(j.Steps, deploy.Percent(s))
	}
	return j, nil
}

// ascending reports whether the shares grow from above 0 to 100.
func ascending(steps []float64) bool {
	n := len(steps)
	return n > 0 && steps[0] > 0 && steps[n-1] == 100 && slices.IsSorted(steps) && len(slices.Compact(slices.Clone(steps))) == n
}
