package steps

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

func rev(version string) deploy.Revision {
	env := deploy.Environment{Name: "production", Service: deploy.Service{Replicas: 1}}
	return deploy.NewRevision("hello", env, deploy.Image{Digest: "sha256:" + version, Version: version}, nil)
}

// history plays operations and says which state they leave: "1.0.0" promotes,
// "-1.1.0" is a release that was reverted, "<1.0.0" is a rollback to it.
func history(operations ...string) deploy.State {
	var s deploy.State
	for _, o := range operations {
		r := deploy.Record{Operation: "release", Outcome: deploy.Promoted}
		switch o[0] {
		case '-':
			r.Outcome, o = deploy.Reverted, o[1:]
		case '<':
			r.Operation, o = "rollback", o[1:]
		}
		r.Candidate = rev(o)
		if s.Live != nil {
			r.Previous = *s.Live
		}
		if r.Outcome == deploy.Promoted {
			s.Live = &r.Candidate
		}
		s.History = append(s.History, r)
	}
	return s
}

func TestPrevious(t *testing.T) {
	tests := []struct {
		name       string
		operations []string
		to         string
		want       string
	}{
		{"the one before", []string{"1.0.0", "1.1.0"}, "", "1.0.0"},
		{"nothing before", []string{"1.0.0"}, "", ""},
		{"a reverted one never was live", []string{"1.0.0", "1.1.0", "-1.2.0"}, "", "1.0.0"},
		{"twice back goes two back", []string{"1.0.0", "1.1.0", "1.2.0", "<1.1.0"}, "", "1.0.0"},
		{"never forward to what was left", []string{"1.0.0", "1.1.0", "<1.0.0"}, "", ""},
		{"after a rollback and a repair", []string{"1.0.0", "1.1.0", "<1.0.0", "1.1.1"}, "", "1.0.0"},
		{"one that was live twice", []string{"1.0.0", "1.1.0", "1.0.0", "1.1.0", "<1.0.0"}, "", "1.1.0"},
		{"by version", []string{"1.0.0", "1.1.0", "1.2.0"}, "1.0.0", "1.0.0"},
		{"by version, one that was left", []string{"1.0.0", "1.1.0", "<1.0.0"}, "1.1.0", "1.1.0"},
		{"by version, never live", []string{"1.0.0", "-1.1.0"}, "1.1.0", ""},
		{"by version, unknown", []string{"1.0.0", "1.1.0"}, "9.9.9", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := previous(history(tt.operations...), tt.to)
			if got.Image.Version != tt.want || ok != (tt.want != "") {
				t.Errorf("got %s, want %q", got, tt.want)
			}
		})
	}
}

// The oldest records are dropped in time; what the first one left replaced is
// still known.
func TestPreviousAfterRecordsWereDropped(t *testing.T) {
	s := history("1.0.0", "1.1.0")
	s.History = s.History[1:]
	if got, _ := previous(s, ""); got.Image.Version != "1.0.0" {
		t.Errorf("got %s", got)
	}
}

func TestPassed(t *testing.T) {
	if got := passed("staging", history("1.0.0", "-1.1.0", "1.2.0", "1.0.0").History); got != "passed there: 1.0.0, 1.2.0" {
		t.Error(got)
	}
	if got := passed("staging", nil); got != "no version has passed staging yet" {
		t.Error(got)
	}
}

func TestDifferences(t *testing.T) {
	env := deploy.Environment{Name: "production", Service: deploy.Service{
		Replicas: 1, Env: map[string]string{"LEVEL": "info", "OLD": "x"},
	}}
	before := deploy.NewRevision("hello", env, deploy.Image{Digest: "sha256:aaaa"}, []deploy.Secret{
		deploy.NewSecret("hello", "production", "KEY", "hunter2"), deploy.NewSecret("hello", "production", "SAME", "same"),
	})
	env.Service = deploy.Service{Replicas: 3, Env: map[string]string{"LEVEL": "warn", "NEW": "y"}}
	after := deploy.NewRevision("hello", env, deploy.Image{Digest: "sha256:bbbb"}, []deploy.Secret{
		deploy.NewSecret("hello", "production", "KEY", "hunter3"), deploy.NewSecret("hello", "production", "SAME", "same"),
	})
	want := []string{
		"image: aaaa → bbbb", "replicas: 1 → 3",
		`env LEVEL: "info" → "warn"`, `env NEW: added as "y"`, "env OLD: removed",
		"secret KEY: changed",
	}
	if diff := cmp.Diff(want, differences(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := differences(after, after); d != nil {
		t.Errorf("the same revision differs: %v", d)
	}
}
