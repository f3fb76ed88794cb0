package pods_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// lived reads the life of a pod that TestHowPodsFareInARealCluster recorded.
func lived(t *testing.T, name string) []moment {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var moments []moment
	if err := json.Unmarshal(text, &moments); err != nil {
		t.Fatal(err)
	}
	if len(moments) == 0 {
		t.Fatalf("%s lived no moment", name)
	}
	return moments
}

// fate is what a life has to come to.
type fate struct {
	limits pods.Limits
	state  pods.State
	cause  pods.Cause
	// restarts at the moment when it is certain.
	restarts int
	// container that is to blame.
	container string
}

var fates = map[string]fate{
	"good":            {state: pods.Ready},
	"slow-start":      {state: pods.Ready},
	"one-restart":     {state: pods.Ready},
	"sidecars":        {state: pods.Ready},
	"moved":           {state: pods.Gone, cause: pods.Disrupted},
	"evicted":         {state: pods.Gone, cause: pods.Disrupted},
	"never-ready":     {state: pods.Waiting, cause: pods.NotReady},
	"crash-loop":      {state: pods.Doomed, cause: pods.Crash, restarts: 2, container: "app"},
	"ends-well":       {state: pods.Doomed, cause: pods.Crash, restarts: 2, container: "app"},
	"image-not-found": {state: pods.Doomed, cause: pods.ImageMissing, container: "app"},
	"unauthorized":    {state: pods.Doomed, cause: pods.ImageRefused, container: "app"},
	"out-of-memory":   {state: pods.Doomed, cause: pods.OutOfMemory, restarts: 1, container: "app"},
	"unschedulable":   {state: pods.Doomed, cause: pods.Unschedulable, limits: pods.Limits{Unschedulable: time.Nanosecond}},
	"bad-config":      {state: pods.Doomed, cause: pods.BadConfig, container: "app"},
	"cannot-run":      {state: pods.Doomed, cause: pods.CannotRun, container: "app"},
	"init-fails":      {state: pods.Doomed, cause: pods.Crash, restarts: 2, container: "migrate"},
	"sidecar-fails":   {state: pods.Doomed, cause: pods.Crash, restarts: 2, container: "proxy"},
}

// TestRecordedLives holds the rules against what a real cluster said of pods,
// moment by moment: what they come to, and that nothing else was concluded
// before.
func TestRecordedLives(t *testing.T) {
	for name, want := range fates {
		t.Run(name, func(t *testing.T) {
			moments := lived(t, name)
			var v pods.Verdict
			for _, m := range moments {
				if v = pods.Judge(m.Pod, m.At, want.limits); v.State != pods.Waiting {
					break
				}
			}
			if v.State != want.state || v.Cause != want.cause {
				t.Fatalf("it is %s, for %q: %+v", v.State, v.Cause, v)
			}
			if v.State == pods.Doomed && (v.Container != want.container || v.Restarts != want.restarts || v.Told == "" || v.Hint == "") {
				t.Errorf("it tells %+v", v)
			}
		})
	}
}

func TestEveryRecordedLifeHasAFate(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) != len(fates) || len(fates) != len(lives()) {
		t.Errorf("%d recorded, %d judged, %d led: %v", len(files), len(fates), len(lives()), err)
	}
}

// TestTellingLives is for people: what is told of each moment.
func TestTellingLives(t *testing.T) {
	var b strings.Builder
	for _, l := range lives() {
		fmt.Fprintf(&b, "%s\n", l.name)
		before := ""
		for _, m := range lived(t, l.name) {
			v := pods.Judge(m.Pod, m.At, fates[l.name].limits)
			line := fmt.Sprintf("  %-7s  %s", v.State, v.Told)
			if v.Container != "" {
				line += " [" + v.Container + "]"
			}
			if line != before {
				fmt.Fprintln(&b, line)
			}
			before = line
		}
	}
	path := filepath.Join("testdata", "told.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || b.String() != string(want) {
		t.Errorf("told otherwise than in %s (-update writes it): %v\n%s", path, err, b.String())
	}
}
