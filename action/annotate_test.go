package action

import (
	"strings"
	"testing"
)

func TestAnnotate(t *testing.T) {
	r, out := onRunner(nil)
	r.Annotate(Annotation{
		Level: LevelError, Title: "a, b: c", Message: "first\n::set-output name=x::y 100%",
		File: "slipway.yaml", Line: 3, Column: 7,
	})
	want := "::error col=7,file=slipway.yaml,line=3,title=a%2C b%3A c::first%0A::set-output name=x::y 100%25\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out, want)
	}
}

func TestNoMoreThanTenOfAKind(t *testing.T) {
	r, out := onRunner(nil)
	for range 12 {
		r.Warning("t", "m\n::error::injected ##[add-mask]x")
	}
	r.Notice("t", "m")
	if n := strings.Count(out.String(), "::warning title=t::"); n != 10 {
		t.Errorf("%d warnings", n)
	}
	if n := strings.Count(out.String(), "warning: m\n"); n != 2 {
		t.Errorf("%d plain lines", n)
	}
	if strings.Contains(out.String(), "\n::error") || strings.Contains(lastLines(out.String(), 4), "##[") {
		t.Errorf("a command was injected:\n%s", out)
	}
	if !strings.Contains(out.String(), "::notice title=t::m\n") {
		t.Errorf("the notice is missing:\n%s", out)
	}
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "\n")
}

func TestGroupsAndMasks(t *testing.T) {
	r, out := onRunner(nil)
	r.AddMask("hunter22")
	r.AddMask("")
	r.AddMask("1")
	r.Group("deploy hunter22\n::error::x")
	r.EndGroup()
	want := "::add-mask::hunter22\n::group::deploy ***%0A::error::x\n::endgroup::\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
