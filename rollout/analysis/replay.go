package analysis

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Replay asks a judge about recorded traffic: it reads lines of the trace
// format and writes one verdict for each, such as
//
//	{"t": 15, "verdict": "revert", "metric": "errors", "evidence": 123.4, "eta": 0, "why": "…"}
//
// A verdict is written, and flushed if w can be, before the next line is read,
// so that who writes the trace can change the share on "advance". The eta is in
// seconds, and null when it is not known. A line that is wrong ends the replay
// with a *TraceError.
func Replay(r io.Reader, w io.Writer, j Judge) error {
	in := NewTraceReader(r)
	var stage stopwatch
	for {
		line, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		v := remembered(j, line)
		if !line.History {
			v = j.Observe(line.sample(&stage))
		}
		if err := writeLine(w, told{line, v}.wire()); err != nil {
			return err
		}
	}
}

// remembered hands history to judges that want it.
func remembered(j Judge, line TraceLine) Verdict {
	if !line.History {
		return Verdict{}
	}
	v := Verdict{Decision: Continue, ETA: Unknown, Why: "history of the live version, which this judge has no use for"}
	if m, ok := j.(interface {
		Remember(live deploy.Traffic, others ...Measure)
	}); ok {
		m.Remember(line.Baseline)
		v.Evidence = 1
		v.Why = fmt.Sprintf("history: errors %s of %d requests on the live version",
			percent(float64(line.Baseline.Errors), float64(line.Baseline.Requests)), line.Baseline.Requests)
	}
	return v
}

// stopwatch knows since when the share is what it is.
type stopwatch struct {
	share     deploy.Percent
	since, at time.Duration
	running   bool
}

// sample is a line as judges take it.
func (l TraceLine) sample(stage *stopwatch) Sample {
	if !stage.running || stage.share != l.Share {
		stage.running, stage.share, stage.since = true, l.Share, stage.at
	}
	stage.at = l.At
	return Sample{At: l.At, Elapsed: l.At - stage.since, Share: l.Share, Live: l.Baseline, Candidate: l.Canary}
}

// told is a verdict on a line.
type told struct {
	line    TraceLine
	verdict Verdict
}

// wireVerdict is a verdict as JSON has it.
type wireVerdict struct {
	T        float64  `json:"t"`
	Verdict  Decision `json:"verdict"`
	Metric   string   `json:"metric"`
	Evidence float64  `json:"evidence"`
	ETA      *float64 `json:"eta"`
	Why      string   `json:"why"`
}

func (t told) wire() wireVerdict {
	w := wireVerdict{
		T: t.line.At.Seconds(), Verdict: t.verdict.Decision, Metric: t.verdict.Metric, Evidence: t.verdict.Evidence, Why: t.verdict.Why,
	}
	if t.verdict.ETA != Unknown {
		eta := math.Round(t.verdict.ETA.Seconds()*10) / 10
		w.ETA = &eta
	}
	return w
}
