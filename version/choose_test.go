package version_test

import (
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/version"
)

func TestParseWanted(t *testing.T) {
	for in, want := range map[string]string{
		"1.4.2": "1.4.2", "v1.4.2": "1.4.2", " latest ": "latest", "previous": "previous", "~1.4": "~1.4", ">=1.2, <2": ">=1.2, <2", "1.x": "1.x",
	} {
		if got, err := version.ParseWanted(in); got != want || err != nil {
			t.Errorf("ParseWanted(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"newest", "~~1", "", "1.4.2.9"} {
		if got, err := version.ParseWanted(in); !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
			t.Errorf("ParseWanted(%q) = %q, %v; want a usage error with a hint", in, got, err)
		}
	}
}

func TestChoose(t *testing.T) {
	there := []string{"1.4.0", "1.4.10", "1.4.9", "1.5.0-rc.1", "2.0.0+build.9", "2.0.0+build.10", "2.0.0", "1.4", "0.0.0-pr.12.g1a2b3c4", "nightly"}
	for wanted, want := range map[string]string{
		"latest": "2.0.0+build.10", "~1.4": "1.4.10", "^1": "1.4.10", "<1.4.10": "1.4.9", "~1.5.0-0": "1.5.0-rc.1", "*": "2.0.0+build.10", "2.0.0": "2.0.0+build.10", "~3": "",
	} {
		got, err := version.Choose(wanted, there)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("Choose(%q) = %q, %v; want %q", wanted, got, err, want)
		}
		if err != nil && deploy.HintOf(err) == "" {
			t.Errorf("Choose(%q): %v has no hint", wanted, err)
		}
	}
	if _, err := version.Choose("latest", nil); err == nil {
		t.Error("of nothing, something was chosen")
	}
}
