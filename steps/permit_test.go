package steps

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func (s *story) lines() string {
	var lines []string
	for _, e := range s.events {
		lines = append(lines, string(e.Kind)+" "+e.Environment+": "+e.Message)
	}
	return strings.Join(lines, "\n")
}

func TestPermits(t *testing.T) {
	rules := func(name string) Permit { return Permit{Rules: []string{"waits 30m", "only from main, for " + name}} }
	refuse := func(name string) Permit {
		return Permit{Rules: []string{"must be approved"}, Refused: deploy.Hinted(errors.New(name+" must be approved"), "ask for %s", name)}
	}
	for name, c := range map[string]struct {
		permit  func(string) Permit
		unknown error
		dryRun  bool
		told    string
		refused string
		hint    string
	}{
		"no rules":     {func(string) Permit { return Permit{} }, nil, false, "", "", ""},
		"rules":        {rules, nil, false, "notice staging: protected: waits 30m; only from main, for staging\nnotice production: protected: waits 30m; only from main, for production", "", ""},
		"refused":      {refuse, nil, false, "notice staging: protected: must be approved\nnotice production: protected: must be approved", "staging must be approved; production must be approved", "ask for staging"},
		"only planned": {refuse, nil, true, "notice staging: protected: must be approved\nnotice production: protected: must be approved", "", ""},
		"not known": {
			func(string) Permit { return Permit{} }, errors.New("403"), false,
			"warning staging: whether this run may deploy to it is not known: 403\nwarning production: whether this run may deploy to it is not known: 403", "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			heard := &story{}
			w := NewWork(
				Request{DryRun: c.dryRun, Environments: []deploy.Environment{{Name: "staging"}, {Name: "production"}}},
				Tools{Reporter: heard, Permit: func(_ context.Context, environment string) (Permit, error) { return c.permit(environment), c.unknown }})
			err := w.askPermits(t.Context())
			if got := heard.lines(); got != c.told {
				t.Errorf("told:\n%s", got)
			}
			if c.refused == "" && err != nil || c.refused != "" && (err == nil || err.Error() != c.refused) || deploy.HintOf(err) != c.hint {
				t.Errorf("%v, hint %q", err, deploy.HintOf(err))
			}
		})
	}
	if err := NewWork(Request{Environments: []deploy.Environment{{Name: "staging"}}}, Tools{}).askPermits(t.Context()); err != nil {
		t.Errorf("no forge: %v", err)
	}
}
