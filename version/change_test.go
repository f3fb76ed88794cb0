package version

import (
	"strings"
	"testing"
)

func TestChangeOf(t *testing.T) {
	for message, want := range map[string]Change{
		"feat: paint the walls":                                   Feature,
		"feat(api): paint the walls":                              Feature,
		"feat(api/v2, ui): paint":                                 Feature,
		"Feat: paint the walls":                                   Feature,
		"fix: mind the gap":                                       Fix,
		"FIX(core): mind the gap\r\n\r\nbody\r\n":                 Fix,
		"perf: faster":                                            Fix,
		"revert: paint the walls":                                 Fix,
		"Revert \"feat: paint the walls\"\n\nThis reverts commit": Fix,
		"\n\n  feat: after empty lines":                           Feature,
		"feat!: other walls":                                      Breaking,
		"feat(api)!: other walls":                                 Breaking,
		"chore!: drop Go 1.20":                                    Breaking,
		"fix: x\n\nBREAKING CHANGE: the API is another":           Breaking,
		"fix: x\nBREAKING CHANGE: without an empty line":          Breaking,
		"fix: x\r\n\r\nbody\r\n\r\nBREAKING-CHANGE: y\r\n":        Breaking,
		"Merge branch 'next'\n\nBREAKING CHANGE: y":               Breaking,
		"BREAKING CHANGE: all of it":                              Breaking,
		"docs: explain":                                           NoChange,
		"chore(deps): bump x":                                     NoChange,
		"ci: x":                                                   NoChange,
		"Merge pull request #12 from acme/feat":                   NoChange,
		"Merge branch 'feat: x'":                                  NoChange,
		"feat:no space":                                           NoChange,
		"feat: ":                                                  NoChange,
		"feat : x":                                                NoChange,
		"feat() : x":                                              NoChange,
		"feat(): x":                                               NoChange,
		"feat(a: x":                                               NoChange,
		"feat(a)b: x":                                             NoChange,
		"feat(a)(b): x":                                           NoChange,
		"feature: x":                                              NoChange,
		"a feat: x":                                               NoChange,
		"!: x":                                                    NoChange,
		"fix the door: it squeaks":                                NoChange,
		"chore: x\n\nno BREAKING CHANGE: here":                    NoChange,
		"chore: x\n\nbreaking change: in small letters":           NoChange,
		"chore: x\n\nBREAKING CHANGE:":                            NoChange,
		"chore: x\n\nfeat: a second subject":                      NoChange,
		"":                                                        NoChange,
		"fix":                                                     NoChange,
	} {
		if got := ChangeOf(message); got != want {
			t.Errorf("%q is %s, want %s", message, got, want)
		}
	}
}

func FuzzChangeOf(f *testing.F) {
	for _, seed := range []string{"feat: x", "fix(a)!: x", "Revert \"x\"", "chore: x\n\nBREAKING CHANGE: y", "(): ", "!: ", ")(: x", "\r\n\x00é: x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		got := ChangeOf(message)
		if got > Breaking || got.String() == "" {
			t.Fatalf("%q is %d", message, got)
		}
		if more := ChangeOf(message + "\n\nBREAKING CHANGE: x\n"); more != Breaking && strings.TrimSpace(message) != "" {
			t.Errorf("with a footer, %q is %s", message, more)
		}
		if less := ChangeOf(message + "\n\nSigned-off-by: somebody"); strings.TrimSpace(message) != "" && less != got {
			t.Errorf("a footer that means nothing makes %s of %q, which is %s", less, message, got)
		}
	})
}
