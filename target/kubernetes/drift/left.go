package drift

import (
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Left is what the last release has left in the environment, as its journal says.
type Left struct {
	// Live is the revision that has the users, Others are those that a rollout
	// which is held or watched has beside it.
	Live   deploy.Revision
	Others []deploy.Revision
	// Brought is the one that was brought in last: what all revisions share is as
	// its manifests have it.
	Brought deploy.Revision
	// Traffic is who has which users.
	Traffic objects.Traffic
	// Settled: nobody is in the middle of anything, so that every revision has as
	// many replicas as it asks for.
	Settled bool
}

// Revisions are all of them, the live one first. Where nothing was live, it is the
// zero one.
func (l Left) Revisions() []deploy.Revision { return append([]deploy.Revision{l.Live}, l.Others...) }

// errUncertain is for an environment of which the journal cannot say what is live.
var errUncertain = errors.New("the last rollout ended without its being known what is live")

// LeftBy reads from the last record what should be there; nothing where there was no
// release. While a rollout is held or watched, the shares that are in force are those
// that should be: now reads them. A rollout that is under way is an error.
func LeftBy(r deploy.Record, now func() (objects.Traffic, error)) (l Left, err error) {
	switch {
	case r.Phase == deploy.PhaseNone:
		return Left{}, nil
	case r.Baking():
		l = Left{Live: r.Candidate, Others: []deploy.Revision{r.Previous}, Brought: r.Candidate}
		l.Traffic, err = now()
		return l, err
	case r.Held():
		l = Left{Live: r.Previous, Others: []deploy.Revision{r.Candidate}, Brought: r.Candidate}
		l.Traffic, err = now()
		return l, err
	case r.Phase != deploy.PhaseSettled:
		return Left{}, fmt.Errorf("a rollout is in phase %q", r.Phase)
	case r.Outcome == deploy.Unknown:
		return Left{}, deploy.Hinted(errUncertain, "slipway status shows what is there; slipway settle tries again")
	case r.Outcome == deploy.Promoted:
		return rested(r.Candidate), nil
	}
	return rested(r.Previous), nil
}

// rested is an environment in which one revision has all users.
func rested(live deploy.Revision) Left {
	return Left{Live: live, Brought: live, Traffic: objects.Traffic{Live: live.ID}, Settled: true}
}
