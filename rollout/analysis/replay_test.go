package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

var update = flag.Bool("update", false, "write golden files and the traces that are made for them")

// recorded are the traces in testdata/replay and how they were made.
func recorded() map[string][]TraceLine {
	steady := traffic{seed: 21, requests: 200, share: 20, live: .01, candidate: .01, every: 5 * time.Second}
	broken, late, slow, incident := steady, steady, steady, steady
	broken.candidate = 1
	late.worse, late.from = .3, 20
	slow.latency, slow.slower = true, 2
	incident.live, incident.candidate = .5, .5
	twice := slices.Concat(steady.samples(10), incident.samples(5), steady.samples(5))
	for i := range twice {
		twice[i].At = time.Duration(i+1) * 5 * time.Second
	}
	ramp := traffic{seed: 22, requests: 3000, share: 5, live: .001, candidate: .001, every: 5 * time.Second}.samples(10)
	for i, s := range (traffic{seed: 23, requests: 3000, share: 50, live: .001, candidate: .001, every: 5 * time.Second}).samples(12) {
		s.At = time.Duration(i+11) * 5 * time.Second
		ramp = append(ramp, s)
	}
	low := traffic{seed: 24, requests: 3, share: 20, live: .01, candidate: .01, every: 15 * time.Second}
	history := TraceLine{At: -time.Hour, History: true, Baseline: deploy.Traffic{Requests: 100000, Errors: 1000}}
	return map[string][]TraceLine{
		"broken":       lines(broken.samples(4)),
		"late":         lines(late.samples(30)),
		"slow":         lines(slow.samples(6)),
		"incident":     lines(twice),
		"ramp":         lines(ramp),
		"low-traffic":  lines(low.samples(12)),
		"with-history": slices.Concat([]TraceLine{history}, lines(broken.samples(1))),
		"no-canary":    lines(traffic{seed: 25, requests: 100, share: 0, live: .01}.samples(3)),
	}
}

func lines(samples []Sample) []TraceLine {
	var all []TraceLine
	for _, s := range samples {
		all = append(all, TraceLine{At: s.At, Share: s.Share, Baseline: s.Live, Canary: s.Candidate})
	}
	return all
}

func TestReplayOfRecordedTraces(t *testing.T) {
	if *update {
		for name, trace := range recorded() {
			var out bytes.Buffer
			for _, line := range trace {
				if err := NewTraceWriter(&out).Write(line); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join("testdata/replay", name+".jsonl"), out.Bytes())
		}
	}
	traces, err := filepath.Glob("testdata/replay/*.jsonl")
	if err != nil || len(traces) < 8 {
		t.Fatalf("%d traces: %v", len(traces), err)
	}
	for _, path := range traces {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".jsonl"), func(t *testing.T) {
			trace, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Replay(bytes.NewReader(trace), &out, &Sequential{}); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".jsonl") + ".golden"
			if *update {
				write(t, golden, out.Bytes())
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(verdictsIn(t, want), verdictsIn(t, out.Bytes()), cmp.Comparer(about)); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// about is equality of numbers that another processor rounds otherwise.
func about(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-6*math.Abs(a+b) }

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func verdictsIn(t *testing.T, out []byte) (all []wireVerdict) {
	t.Helper()
	for line := range bytes.Lines(out) {
		var v wireVerdict
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

// What is written can be read again, and is the same.
func TestTracesComeBack(t *testing.T) {
	for name, trace := range recorded() {
		var out bytes.Buffer
		for _, line := range trace {
			if err := NewTraceWriter(&out).Write(line); err != nil {
				t.Fatal(err)
			}
		}
		in := NewTraceReader(&out)
		for i, want := range trace {
			got, err := in.Next()
			if err != nil {
				t.Fatalf("%s, line %d: %v", name, i+1, err)
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(about)); diff != "" {
				t.Fatalf("%s, line %d (-want +got):\n%s", name, i+1, diff)
			}
		}
		if _, err := in.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last line: %v", name, err)
		}
	}
}

// A caller changes the share when it is told to: no line may be read ahead of
// the verdict on the one before.
func TestVerdictsAreWrittenBeforeTheNextLineIsRead(t *testing.T) {
	r, input := io.Pipe()
	output, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Replay(r, w, &Sequential{}) }()
	answers := json.NewDecoder(output)
	share := 0.05
	for i := range 100 {
		if _, err := fmt.Fprintf(input, `{"t": %d, "share": %g, "baseline": {"requests": 5000, "errors": 5}, "canary": {"requests": 5000, "errors": 5}}`+"\n", 5*(i+1), share); err != nil {
			t.Fatal(err)
		}
		var v wireVerdict
		if err := answers.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if v.Verdict == Promote {
			break
		}
		if v.Verdict == Advance {
			share = map[float64]float64{.05: .25, .25: .5}[share]
		}
	}
	if share != .5 {
		t.Errorf("got as far as a share of %g", share)
	}
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after the end: %v", err)
	}
}

func TestLinesThatAreWrong(t *testing.T) {
	const good = `{"t": 1, "share": 0.05, "baseline": {"requests": 10, "errors": 0}, "canary": {"requests": 1, "errors": 0}}`
	tests := []struct{ name, line, want string }{
		{"not JSON", `nonsense`, "is not a JSON object"},
		{"two objects", good + good, "is not a JSON object"},
		{"a list", `[]`, "is not a JSON object"},
		{"no baseline", `{"t": 2, "canary": {"requests": 1, "errors": 0}}`, "has no baseline"},
		{"no canary", `{"t": 2, "baseline": {"requests": 1, "errors": 0}}`, `has no canary: write zero counts, or "history": true`},
		{"history with a canary", `{"history": true, "baseline": {"requests": 1, "errors": 0}, "canary": {"requests": 1, "errors": 0}}`, "is history and has a canary"},
		{"no t", strings.Replace(good, `"t": 1,`, ``, 1), "has no t"},
		{"t before zero", strings.Replace(good, `"t": 1`, `"t": -1`, 1), "t is -1"},
		{"t beyond all time", strings.Replace(good, `"t": 1`, `"t": 1e300`, 1), "t is 1e+300"},
		{"t goes back", strings.Replace(good, `"t": 1`, `"t": 0.5`, 1), "t is 0.5 after 1: time goes back"},
		{"share in percent", strings.Replace(good, `0.05`, `5`, 1), "share is 5: write a number from 0 to 1"},
		{"no requests", strings.Replace(good, `"requests": 10, `, ``, 1), "baseline has no requests"},
		{"no errors", strings.Replace(good, `{"requests": 1, "errors": 0}`, `{"requests": 1}`, 1), "canary has no errors"},
		{"a name that is not known", strings.Replace(good, `"share"`, `"comment": "x", "share"`, 1), ""},
		{"more errors", strings.Replace(good, `"requests": 10, "errors": 0`, `"requests": 10, "errors": 11`, 1), "baseline has 11 errors of 10 requests"},
		{"a negative count", strings.Replace(good, `"requests": 10`, `"requests": -10`, 1), "-10 is not a count"},
		{"half a request", strings.Replace(good, `"requests": 10`, `"requests": 10.5`, 1), "10.5 is not a count"},
		{"a count in quotes", strings.Replace(good, `"requests": 10`, `"requests": "10"`, 1), "is not a count"},
		{"too few buckets", strings.Replace(good, `"errors": 0}, `, `"errors": 0, "latency": {"le": [1], "counts": [1]}}, `, 1), "baseline.latency has 1 counts for 1 bounds"},
		{"bounds that fall", strings.Replace(good, `"errors": 0}, `, `"errors": 0, "latency": {"le": [1, 1], "counts": [1, 2, 3]}}, `, 1), "baseline.latency.le does not ascend"},
		{"too long", `{"x": "` + strings.Repeat("x", longestLine) + `"}`, "is longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := Replay(strings.NewReader(good+"\n\n"+tt.line+"\n"+good), &out, &Sequential{})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var wrong *TraceError
			if !errors.As(err, &wrong) || wrong.Line != 3 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want line 3 and %q", err, tt.want)
			}
			if got := strings.Count(out.String(), "\n"); got != 1 {
				t.Errorf("%d verdicts before it, want 1", got)
			}
		})
	}
}

func TestCountsMayBeWrittenAsNumbersAre(t *testing.T) {
	in := NewTraceReader(strings.NewReader(`{"t": 0, "share": 1, "baseline": {"requests": 1e3, "errors": 950.0}, "canary": {"requests": 18446744073709551615, "errors": 0}}`))
	line, err := in.Next()
	if err != nil || line.Baseline.Requests != 1000 || line.Baseline.Errors != 950 || line.Canary.Requests != math.MaxUint64 {
		t.Errorf("%+v, %v", line, err)
	}
}

func TestTheShareStaysUntilItChanges(t *testing.T) {
	const rest = `"baseline": {"requests": 1, "errors": 0}, "canary": {"requests": 1, "errors": 0}}` + "\n"
	in := NewTraceReader(strings.NewReader(`{"t": 1, "share": 0.25, ` + rest + `{"t": 2, ` + rest))
	for range 2 {
		if line, err := in.Next(); err != nil || line.Share != 25 {
			t.Errorf("share %s, %v", line.Share, err)
		}
	}
	if _, err := NewTraceReader(strings.NewReader(`{"t": 1, ` + rest)).Next(); err == nil || !strings.Contains(err.Error(), "has no share") {
		t.Errorf("without any share: %v", err)
	}
}

// flushed counts what was written and not flushed.
type flushed struct {
	bytes.Buffer
	pending, flushes int
}

func (f *flushed) Write(p []byte) (int, error) { f.pending++; return f.Buffer.Write(p) }
func (f *flushed) Flush() error                { f.pending = 0; f.flushes++; return nil }

func TestEveryVerdictIsFlushed(t *testing.T) {
	var in bytes.Buffer
	for _, line := range recorded()["late"] {
		if err := NewTraceWriter(&in).Write(line); err != nil {
			t.Fatal(err)
		}
	}
	out := &flushed{}
	if err := Replay(&in, out, &Sequential{}); err != nil {
		t.Fatal(err)
	}
	if out.pending != 0 || out.flushes != 30 {
		t.Errorf("%d writes are not flushed, %d flushes of 30 lines", out.pending, out.flushes)
	}
}

// Other judges can be asked about a trace, too.
func TestReplayOfAnotherJudge(t *testing.T) {
	trace := `{"history": true, "baseline": {"requests": 10, "errors": 1}}
{"t": 1, "share": 0.5, "baseline": {"requests": 10, "errors": 1}, "canary": {"requests": 10, "errors": 10}}`
	var out bytes.Buffer
	if err := Replay(strings.NewReader(trace), &out, NewErrorLimit(1)); err != nil {
		t.Fatal(err)
	}
	got := verdictsIn(t, out.Bytes())
	if len(got) != 2 || got[0].Verdict != Continue || got[1].Verdict != Revert {
		t.Errorf("%+v", got)
	}
}

func FuzzReplay(f *testing.F) {
	for _, trace := range recorded() {
		var out bytes.Buffer
		for _, line := range trace[:min(3, len(trace))] {
			if err := NewTraceWriter(&out).Write(line); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(out.String())
	}
	f.Add(`{"history": true, "baseline": {"requests": 1, "errors": 1}}`)
	f.Add(`{"t": 9e9, "share": 1, "baseline": {"requests": 18446744073709551615, "errors": 0, "latency": {"le": [1e-300, 1e300], "counts": [1, 0, 18446744073709551615]}}, "canary": {"requests": 9, "errors": 9}}`)
	f.Fuzz(func(t *testing.T, trace string) {
		var out bytes.Buffer
		err := Replay(strings.NewReader(trace), &out, &Sequential{})
		var wrong *TraceError
		if err != nil && (!errors.As(err, &wrong) || wrong.Line < 1) {
			t.Fatalf("not an error of a line: %v", err)
		}
		for _, v := range verdictsIn(t, out.Bytes()) {
			if !slices.Contains([]Decision{Continue, Hold, Advance, Revert, Promote}, v.Verdict) || v.Why == "" || v.Evidence < 0 {
				t.Fatalf("%+v", v)
			}
		}
	})
}
