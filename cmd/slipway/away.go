package main

import (
	"context"

	"github.com/slipway-ci/slipway/deploy"
)

// away is an environment in a cluster that is not reached, for dry runs: it could do
// all that clusters can, and nobody knows what is there.
type away struct {
	empty
	err error
}

var (
	_ deploy.Baseliner = away{}
	_ deploy.Roller    = away{}
	_ deploy.Runner    = away{}
)

func (a away) String() string { return "kubernetes " + a.app + "/" + a.environment }

// State is why it is not known.
func (a away) State(context.Context) (deploy.State, error) { return deploy.State{}, a.err }

func (away) StartBaseline(context.Context, deploy.Revision) error { return errDry }

func (away) SplitBeside(context.Context, deploy.Revision, deploy.Percent, deploy.Percent) error {
	return errDry
}

func (away) Run(context.Context, deploy.Revision, deploy.Task, func(string)) error { return errDry }
