package version

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-ci/slipway/deploy"
)

var imageTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

func contextCancelled(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

func TestParse(t *testing.T) {
	for input, want := range map[string]string{
		"1.4.2":                   "1.4.2",
		"v1.4.2":                  "1.4.2",
		"0.0.0":                   "0.0.0",
		"1.5.0-rc.1":              "1.5.0-rc.1",
		"v1.4.3-main.17.g1a2b3c4": "1.4.3-main.17.g1a2b3c4",
		"20240501.0.1":            "20240501.0.1",
		"v1.4.2+build.5":          "1.4.2+build.5",
		"1.4.2-rc.1+05.g1a2b3c4":  "1.4.2-rc.1+05.g1a2b3c4",
	} {
		if got, err := Parse(input); got != want || err != nil {
			t.Errorf("%q: got %q, %v", input, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ input, hint string }{
		{"", "1.4.2"},
		{"1", "1.0.0"},
		{"v1.4", "1.4.0"},
		{"latest", "1.4.2"},
		{"01.4.2", "leading zeros"},
		{"1.4.2-01", "leading zeros"},
		{"1.4.2.0", "three numbers"},
		{"vv1.4.2", "1.4.2"},
		{"V1.4.2", "1.4.2"},
		{" 1.4.2", "1.4.2"},
		{"1.4.2\n", "1.4.2"},
		{"1.4.2-", "1.4.2"},
		{"1.4.2-a_b", "1.4.2"},
		{"1.4.2+", "1.4.2+build.5"},
		{"1.4.2+a+b", "1.4.2+build.5"},
		{"1.4.2_build.5", "1.4.2+build.5"},
		{"1.4.2+" + strings.Repeat("x", 123), "shorten"},
		{"9007199254740992.0.0", "1.4.2"},
		{"99999999999999999999.0.0", "1.4.2"},
		{"1.4.2-" + strings.Repeat("x", 123), "shorten"},
		{"../../etc/passwd", "1.4.2"},
	}
	for _, test := range tests {
		got, err := Parse(test.input)
		if err == nil {
			t.Errorf("%q is taken as %q", test.input, got)
			continue
		}
		if !deploy.IsUsage(err) || !strings.Contains(deploy.HintOf(err), test.hint) {
			t.Errorf("%q: %v, hint %q lacks %q", test.input, err, deploy.HintOf(err), test.hint)
		}
	}
}

func TestFromRef(t *testing.T) {
	for ref, want := range map[string]string{
		"refs/tags/v1.4.2":       "1.4.2",
		"refs/tags/1.4.2-rc.1":   "1.4.2-rc.1",
		"refs/tags/v1":           "",
		"refs/tags/other/v1.4.2": "",
		"refs/heads/v1.4.2":      "",
		"v1.4.2":                 "",
		"":                       "",
	} {
		if got, ok := FromRef(ref); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", ref, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"1.4.2", "v1.4.2", "1.4", "1.4.2+b", "1.4.2-rc.1+05", "01.2.3", "1.2.3-rc.01", "9007199254740993.0.0", "1.2.3-" + strings.Repeat("9", 40)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		got, err := Parse(input)
		if err != nil {
			if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
				t.Errorf("%q: %v is no usage error with a hint", input, err)
			}
			return
		}
		mustBeUsable(t, got)
		if again, err := Parse(got); again != got || err != nil {
			t.Errorf("%q: %q is read as %q, %v", input, got, again, err)
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add("main", "v1.4.2", 17, true)
	f.Add("007", "", 0, false)
	f.Add(strings.Repeat("-", 60)+"x", "v1.0.0-"+strings.Repeat("y", 70), 1<<30, true)
	f.Fuzz(func(t *testing.T, branch, base string, distance int, dirty bool) {
		s := Source{Branch: branch, Distance: max(0, distance), Dirty: dirty, Short: "0123456"}
		if v, ok := fromTag(base); ok {
			s.Base = v
		}
		got, err := s.Version()
		if err != nil {
			t.Fatal(err)
		}
		mustBeUsable(t, got)
		if s.Base != nil && !semver.MustParse(got).GreaterThan(s.Base) {
			t.Errorf("%s is not above %s", got, s.Base)
		}
		s.Distance++
		next, _ := s.Version()
		if !semver.MustParse(next).GreaterThan(semver.MustParse(got)) {
			t.Errorf("%s is not above %s", next, got)
		}
	})
}
