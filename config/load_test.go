package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
)

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	dir := folder(t, "slipway.yaml")
	dangling := filepath.Join(dir, "dangling.yaml")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing":  filepath.Join(dir, "other.yaml"),
		"a folder": dir,
		"dangling": dangling,
		"endless":  os.DevNull,
		"no name":  "",
	} {
		t.Run(name, func(t *testing.T) { refused(t, second(config.Load(path, rules())), "read configuration") })
	}
}

func TestLoadReadsNoMoreThanTheLimit(t *testing.T) {
	comment := "# " + strings.Repeat("x", 77) + "\n"
	for _, c := range []struct {
		name string
		size int
		ok   bool
	}{
		{"at the limit", config.MaxSize, true},
		{"a byte above", config.MaxSize + 1, false},
		{"far above", 3 * config.MaxSize, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			content := least + strings.Repeat(comment, c.size/len(comment)+1)
			path := filepath.Join(t.TempDir(), "slipway.yaml")
			if err := os.WriteFile(path, []byte(content[:c.size]), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load(path, rules())
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refused(t, err, path, "larger than 1024 KiB")
		})
	}
}

// TestParseBounds holds files that are too long for testdata to the first of
// their mistakes and to how many are told.
func TestParseBounds(t *testing.T) {
	many := "app: hello\nbuild: {base: busybox}\nenvironments:\n" + repeat(101, "  e%d: {target: sandbox}\n")
	for _, c := range []struct {
		name    string
		content string
		want    string
		many    int
	}{
		{"environments", many, "slipway.yaml:3:1: environments: expected at most 100, found 101", 1},
		{"mistakes", least + repeat(60, "key%d: 1\n"), `slipway.yaml:4:1: unknown key "key0" in slipway.yaml`, 50},
		{"values", least + "checks: [" + repeat(20_000, "%d,") + "]\n", "slipway.yaml:4:", 1},
		{"nesting of blocks", "a:\n" + strings.Repeat("- ", 40) + "a\n", "slipway.yaml:2:", 1},
		{"a program", "\x7fELF\x02\x01\x01\x00\x00", "slipway.yaml:1:8: the file is not UTF-8 text: it has NUL characters", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Parse("slipway.yaml", []byte(c.content), rules())
			var all config.Errors
			if !errors.As(err, &all) {
				t.Fatalf("%v holds no Errors", err)
			}
			held(t, "slipway.yaml", all)
			if len(all) != c.many {
				t.Errorf("%d mistakes are told, want %d", len(all), c.many)
			}
			if !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v\ndoes not begin with %s", all[0], c.want)
			}
		})
	}
}

// repeat writes a format with 0 to n-1.
func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestErrorsSayThatThereAreMore(t *testing.T) {
	_, err := config.Parse("slipway.yaml", []byte(least+repeat(60, "key%d: 1\n")), rules())
	var all config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("%v holds no Errors", err)
	}
	if last := all[len(all)-1]; !strings.Contains(last.Hint, "there are more mistakes below") {
		t.Errorf("the last of %d says %q", len(all), last.Hint)
	}
	var first *config.Error
	if !errors.As(err, &first) || first != all[0] {
		t.Errorf("errors.As finds %v, want the first mistake", first)
	}
}

// TestRulesDecide what is known: without any, all that the form of the file has.
func TestRulesDecide(t *testing.T) {
	with := func(target, strategy string) []byte {
		return []byte("app: hello\nbuild: {base: busybox}\nchecks: [{name: home, get: /, expect: stauts}]\n" +
			"environments: {staging: {target: " + target + ", strategy: " + strategy + "}}\n")
	}
	for _, c := range []struct {
		name             string
		target, strategy string
		rules            config.Rules
		ok               bool
	}{
		{"no rules", "sandbox", "canary", config.Rules{}, true},
		{"no rules, no such target", "kiosk", "recreate", config.Rules{}, false},
		{"a target of the rules", "kiosk", "recreate", config.Rules{Targets: rules().Targets}, true},
		{"a strategy beyond the target", "kiosk", "canary", config.Rules{Targets: rules().Targets}, false},
		{"no target at all", "sandbox", "canary", config.Rules{Targets: map[string]config.Target{}}, false},
		{"an expression that is refused", "sandbox", "canary", config.Rules{Expression: rules().Expression}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := config.Parse("slipway.yaml", with(c.target, c.strategy), c.rules)
			if !c.ok {
				if !deploy.IsUsage(err) {
					t.Errorf("%v is not a usage error", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := f.App.Environments[0]; got.Target.Kind != c.target || string(got.Strategy.Kind) != c.strategy {
				t.Errorf("got %s by %s", got.Target.Kind, got.Strategy.Kind)
			}
		})
	}
}
