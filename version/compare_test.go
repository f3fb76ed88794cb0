package version_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-ci/slipway/version"
)

func TestCompare(t *testing.T) {
	ascending := []string{
		"", "latest", "0.0.0-pr.12.g1a2b3c4", "0.1.0", "1.4.2-rc.1", "1.4.2-rc.1+1", "1.4.2-rc.2", "1.4.2",
		"1.4.2+5", "1.4.2+5.1", "1.4.2+10", "1.4.2+99999999999999999999", "1.4.2+100000000000000000000",
		"1.4.2+a", "1.4.2+build.9", "1.4.2+build.10", "1.4.3", "1.10.0", "2.0.0",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := version.Compare(a, b), cmp.Compare(i, j); cmp.Compare(got, 0) != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestStable(t *testing.T) {
	for name, want := range map[string]bool{
		"1.4.2": true, "1.4.2+build.5": true, "0.1.0": true, "1.4.2-rc.1": false, "1.4": false, "latest": false, "": false, "v1.4.2": false,
	} {
		if got := version.Stable(name); got != want {
			t.Errorf("Stable(%q) = %v", name, got)
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("1.4.2+build.9", "1.4.2+build.10", "1.4.2")
	f.Add("1.4.2+05", "1.4.2+5", "1.4.2+a")
	f.Add("1.0.0-rc.1", "nightly", "")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if x, y := version.Compare(a, b), version.Compare(b, a); cmp.Compare(x, 0) != -cmp.Compare(y, 0) {
			t.Errorf("Compare(%q, %q) = %d, and the other way round %d", a, b, x, y)
		}
		if (version.Compare(a, b) == 0) != (a == b) {
			t.Errorf("%q and %q: only what is the same is equal", a, b)
		}
		three := []string{a, b, c}
		slices.SortFunc(three, version.Compare)
		if version.Compare(three[0], three[2]) > 0 {
			t.Errorf("%q is no order", three)
		}
		x, errX := semver.StrictNewVersion(a)
		y, errY := semver.StrictNewVersion(b)
		if errX == nil && errY == nil && x.Compare(y) != 0 && x.Compare(y) != cmp.Compare(version.Compare(a, b), 0) {
			t.Errorf("%q and %q are not in the order of semver", a, b)
		}
	})
}
