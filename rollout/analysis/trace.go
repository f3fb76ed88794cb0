package analysis

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// TraceLine is one line of recorded traffic: a JSON object such as
//
//	{"t": 15.0, "share": 0.05,
//	 "baseline": {"requests": 950, "errors": 1, "latency": {"le": [0.1, 0.5], "counts": [900, 40, 10]}},
//	 "canary": {"requests": 50, "errors": 0}}
//
// Counts are of the batch, not cumulative. Latency may be missing; its counts
// have one entry more than its bounds. A line with "history": true has no
// canary: it is what the live version did before the rollout. Names that are
// not known are passed over.
type TraceLine struct {
	// At is since the rollout began. Of history it may be anything.
	At time.Duration
	// Share that the canary is meant to have from this batch on.
	Share   deploy.Percent
	History bool
	// Baseline is the live version, Canary the candidate.
	Baseline, Canary deploy.Traffic
}

// TraceError is a line that is not as it should be.
type TraceError struct {
	// Line is counted from 1.
	Line int
	Err  error
}

func (e *TraceError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Err) }

// Unwrap gives what is wrong with the line.
func (e *TraceError) Unwrap() error { return e.Err }

// longestLine that is read. A line of a hundred buckets has a few kilobytes.
const longestLine = 1 << 20

// latest is the largest time that a Duration holds, in seconds.
const latest = 9e9

// TraceReader reads lines as they come: it does not wait for more than one.
type TraceReader struct {
	in   *bufio.Reader
	line int
	// share and at are of the line before.
	share *float64
	at    float64
}

// NewTraceReader reads recorded traffic.
func NewTraceReader(r io.Reader) *TraceReader {
	return &TraceReader{in: bufio.NewReaderSize(r, longestLine)}
}

// Next is the next line; io.EOF after the last one, a *TraceError for one that
// is wrong. Empty lines are passed over.
func (t *TraceReader) Next() (TraceLine, error) {
	for {
		raw, err := t.in.ReadSlice('\n')
		if len(raw) == 0 && err != nil {
			return TraceLine{}, err
		}
		t.line++
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return TraceLine{}, t.wrong(fmt.Errorf("is longer than %d bytes", longestLine))
		case err != nil && !errors.Is(err, io.EOF):
			return TraceLine{}, err
		}
		if raw = bytes.TrimSpace(raw); len(raw) == 0 {
			continue
		}
		line, err := t.parse(raw)
		if err != nil {
			return TraceLine{}, t.wrong(err)
		}
		return line, nil
	}
}

func (t *TraceReader) wrong(err error) error { return &TraceError{Line: t.line, Err: err} }

// wireLine is a line as JSON has it. Pointers tell zero from missing.
type wireLine struct {
	T        *float64     `json:"t,omitempty"`
	Share    *float64     `json:"share,omitempty"`
	History  bool         `json:"history,omitempty"`
	Baseline *wireTraffic `json:"baseline,omitempty"`
	Canary   *wireTraffic `json:"canary,omitempty"`
}

type wireTraffic struct {
	Requests *count         `json:"requests"`
	Errors   *count         `json:"errors"`
	Latency  *wireHistogram `json:"latency,omitempty"`
}

type wireHistogram struct {
	Le     []float64 `json:"le"`
	Counts []count   `json:"counts"`
}

// count is a whole number, which may be written as 950.0 or 1e3.
type count uint64

// UnmarshalJSON refuses what cannot be a count.
func (c *count) UnmarshalJSON(raw []byte) error {
	if n, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
		*c = count(n)
		return nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < 0 || f != math.Trunc(f) || f > 1<<53 {
		return fmt.Errorf("%s is not a count: write a whole number, zero or more", shortened(raw))
	}
	*c = count(f)
	return nil
}

func shortened(raw []byte) string {
	if len(raw) > 40 {
		raw = append(bytes.Clone(raw[:40]), "…"...)
	}
	return string(raw)
}

func (t *TraceReader) parse(raw []byte) (TraceLine, error) {
	var w wireLine
	if err := json.Unmarshal(raw, &w); err != nil {
		return TraceLine{}, fmt.Errorf("is not a JSON object of the trace format: %w", err)
	}
	if w.Baseline == nil {
		return TraceLine{}, errors.New("has no baseline")
	}
	line := TraceLine{History: w.History}
	var err error
	if line.Baseline, err = w.Baseline.traffic("baseline"); err != nil {
		return TraceLine{}, err
	}
	if w.History {
		return t.history(line, w)
	}
	if w.Canary == nil {
		return TraceLine{}, errors.New("has no canary: write zero counts, or \"history\": true")
	}
	if line.Canary, err = w.Canary.traffic("canary"); err != nil {
		return TraceLine{}, err
	}
	if err := t.place(w); err != nil {
		return TraceLine{}, err
	}
	line.At, line.Share = seconds(t.at), deploy.Percent(100**t.share)
	return line, nil
}

func (t *TraceReader) history(line TraceLine, w wireLine) (TraceLine, error) {
	if w.Canary != nil {
		return TraceLine{}, errors.New("is history and has a canary")
	}
	if w.T != nil {
		if !(math.Abs(*w.T) <= latest) {
			return TraceLine{}, fmt.Errorf("t is %g: write seconds", *w.T)
		}
		line.At = seconds(*w.T)
	}
	return line, nil
}

// place takes time and share of a line.
func (t *TraceReader) place(w wireLine) error {
	switch {
	case w.T == nil:
		return errors.New("has no t")
	case !(*w.T >= 0 && *w.T <= latest):
		return fmt.Errorf("t is %g: write seconds since the rollout began", *w.T)
	case *w.T < t.at:
		return fmt.Errorf("t is %g after %g: time goes back", *w.T, t.at)
	case w.Share == nil && t.share == nil:
		return errors.New("has no share, and no line before it has one")
	case w.Share != nil && !(*w.Share >= 0 && *w.Share <= 1):
		return fmt.Errorf("share is %g: write a number from 0 to 1", *w.Share)
	}
	t.at = *w.T
	if w.Share != nil {
		t.share = w.Share
	}
	return nil
}

// traffic checks what one version has.
func (w *wireTraffic) traffic(whose string) (deploy.Traffic, error) {
	switch {
	case w.Requests == nil:
		return deploy.Traffic{}, fmt.Errorf("%s has no requests", whose)
	case w.Errors == nil:
		return deploy.Traffic{}, fmt.Errorf("%s has no errors: what was not counted is not zero", whose)
	case *w.Errors > *w.Requests:
		return deploy.Traffic{}, fmt.Errorf("%s has %d errors of %d requests", whose, *w.Errors, *w.Requests)
	}
	t := deploy.Traffic{Requests: uint64(*w.Requests), Errors: uint64(*w.Errors)}
	if w.Latency == nil {
		return t, nil
	}
	t.Latency.Le = w.Latency.Le
	for _, n := range w.Latency.Counts {
		t.Latency.Counts = append(t.Latency.Counts, uint64(n))
	}
	switch {
	case len(t.Latency.Counts) != len(t.Latency.Le)+1:
		return deploy.Traffic{}, fmt.Errorf("%s.latency has %d counts for %d bounds: there is one more, for what is above the last", whose, len(t.Latency.Counts), len(t.Latency.Le))
	case !usable(t.Latency):
		return deploy.Traffic{}, fmt.Errorf("%s.latency.le does not ascend", whose)
	}
	return t, nil
}

// TraceWriter records traffic for a replay.
type TraceWriter struct{ out io.Writer }

// NewTraceWriter writes to out.
func NewTraceWriter(out io.Writer) *TraceWriter { return &TraceWriter{out: out} }

// Write writes one line, and flushes it if out can.
func (t *TraceWriter) Write(line TraceLine) error {
	at, share := line.At.Seconds(), line.Share.Fraction()
	w := wireLine{T: &at, History: line.History, Baseline: wired(line.Baseline)}
	if !line.History {
		w.Share, w.Canary = &share, wired(line.Canary)
	}
	return writeLine(t.out, w)
}

func wired(t deploy.Traffic) *wireTraffic {
	requests, failed := count(t.Requests), count(min(t.Errors, t.Requests))
	w := &wireTraffic{Requests: &requests, Errors: &failed}
	if usable(t.Latency) {
		w.Latency = &wireHistogram{Le: t.Latency.Le}
		for _, n := range t.Latency.Counts {
			w.Latency.Counts = append(w.Latency.Counts, count(n))
		}
	}
	return w
}

// writeLine writes one JSON object as one line at once.
func writeLine(out io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a line of a trace: %w", err)
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write a line of a trace: %w", err)
	}
	if f, ok := out.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			return fmt.Errorf("write a line of a trace: %w", err)
		}
	}
	return nil
}
