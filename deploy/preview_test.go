package deploy

import "testing"

func TestPreviewBelongsToItsPullRequest(t *testing.T) {
	e := Preview{Environment: Environment{Name: PreviewName, Target: TargetSpec{Kind: "sandbox"}}}.For(12)
	if e.Name != "pr-12" || e.Target.Kind != "sandbox" {
		t.Errorf("got %+v", e)
	}
	for name, want := range map[string]int{"pr-12": 12, "pr-1": 1, "pr-": 0, "pr-0": 0, "pr-012": 0, "pr--1": 0, "pr-x": 0, "production": 0, "xpr-1": 0} {
		if got, ok := PullRequestOf(name); ok != (want > 0) || ok && got != want {
			t.Errorf("PullRequestOf(%q) = %d, %v; want %d", name, got, ok, want)
		}
	}
}
