package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// fenced is a target whose login lacks something.
type fenced struct{ deploy.Target }

func (fenced) Permitted(context.Context) error {
	return deploy.Hinted(errors.New("ci may not create deployments"), "grant it")
}

// broken is a target to which the connection breaks.
type broken struct{ deploy.Target }

func (broken) Permitted(context.Context) error {
	return fmt.Errorf("review: %w", &url.Error{Op: "Post", URL: "https://cluster", Err: io.ErrUnexpectedEOF})
}

func TestALoginThatMayTooLittleIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		target        deploy.Target
		dryRun        bool
		refused, told string
		// ends is how a plan ends, in short.
		ends string
	}{
		"all there":    {nil, false, "", "", ""},
		"missing":      {fenced{}, false, "ci may not create deployments; ci may not create deployments", "", ""},
		"unanswered":   {broken{}, true, "", "warning staging: whether a release would be refused could not be asked: review: Post \"https://cluster\": unexpected EOF\nwarning production: whether a release would be refused could not be asked: review: Post \"https://cluster\": unexpected EOF", "what a release to staging, production would do is not known in full: the warnings say why"},
		"only planned": {fenced{}, true, "", "warning staging: a release would be refused: ci may not create deployments\nwarning production: a release would be refused: ci may not create deployments", "a release to staging, production would be refused: the warnings say why"},
	} {
		t.Run(name, func(t *testing.T) {
			heard := &story{}
			kinds := deploy.Strategy{Kind: deploy.BlueGreen}
			w := NewWork(
				Request{DryRun: c.dryRun, Environments: []deploy.Environment{{Name: "staging", Strategy: kinds}, {Name: "production", Strategy: kinds}}},
				Tools{Reporter: heard, Target: func(context.Context, string, deploy.Environment) (deploy.Target, error) { return c.target, nil }})
			err := inspectTargets(t.Context(), w)
			if c.refused == "" && err != nil || c.refused != "" && (err == nil || err.Error() != c.refused || deploy.HintOf(err) != "grant it") {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
			if got := heard.lines(); got != c.told {
				t.Errorf("told:\n%s", got)
			}
			if err := w.refusals(w.Environments[0]); err != nil {
				t.Errorf("%v, before all were planned for", err)
			}
			err = w.refusals(w.Environments[1])
			if would, is := errors.AsType[*refusals](err); is != (c.ends != "") || is && would.short() != c.ends {
				t.Errorf("a plan ends with %v, want %q", err, c.ends)
			}
		})
	}
}
