package steps

import (
	"errors"
	"testing"
)

func TestRefusalsNameEachEnvironmentOnce(t *testing.T) {
	no := errors.New("no")
	r := &refusals{[]refusal{{"staging", no}, {"production", no}, {"staging", no}, {"production", no}}}
	if got, want := r.short(), "a release to staging, production would be refused: the warnings say why"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
