package rollout

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// muster is a crew of two whose replicas are looked at each second, as they are by
// name and status; an error of any look ends it.
func muster(c *crew, r deploy.Revision, seconds int, replicas ...deploy.Replica) error {
	for range seconds {
		if err := c.muster(r, deploy.Running{Revision: r, Replicas: replicas}, 2, unreadyGrace); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	return nil
}

// A node that is drained takes a replica with it. The one that comes in its place
// may take its time while the other serves, and no longer than any may.
func TestReplicaInThePlaceOfAnother(t *testing.T) {
	r := newOne
	r.Config.StartTimeout = 30 * time.Second
	is := func(name string, s deploy.ReplicaStatus) deploy.Replica { return deploy.Replica{Name: name, Status: s} }
	a, b := is("a", deploy.ReplicaReady), is("b", deploy.ReplicaReady)
	for name, c := range map[string]struct {
		then    []deploy.Replica
		seconds int
		fails   string
		// complete: the stage may end.
		complete bool
	}{
		"it starts":               {[]deploy.Replica{a, is("c", deploy.ReplicaStarting)}, 20, "", false},
		"it is ready":             {[]deploy.Replica{a, is("c", deploy.ReplicaReady)}, 20, "", true},
		"it never is":             {[]deploy.Replica{a, is("c", deploy.ReplicaStarting)}, 40, "1 of 2 replicas", false},
		"it was there before":     {[]deploy.Replica{a, is("b", deploy.ReplicaStarting)}, 5, "1 of 2 replicas", false},
		"nobody comes":            {[]deploy.Replica{a}, 5, "1 of 2 replicas", false},
		"it gets sick":            {[]deploy.Replica{a, is("c", deploy.ReplicaUnready)}, 5, "1 of 2 replicas", false},
		"the other one gets sick": {[]deploy.Replica{is("a", deploy.ReplicaUnready), is("c", deploy.ReplicaStarting)}, 5, "2 of 2 replicas", false},
		"nobody serves meanwhile": {[]deploy.Replica{is("c", deploy.ReplicaStarting), is("d", deploy.ReplicaStarting)}, 5, "2 of 2 replicas", false},
		"it ends again and again": {[]deploy.Replica{a, {Name: "c", Status: deploy.ReplicaStarting, Restarts: 1}}, 5, "died while it was watched", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var watched crew
				if err := muster(&watched, r, 2, a, b); err != nil || !watched.complete() {
					t.Fatalf("both are ready: %v", err)
				}
				err := muster(&watched, r, c.seconds, c.then...)
				if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
					t.Errorf("it ends with %v", err)
				}
				if err == nil && watched.complete() != c.complete {
					t.Errorf("it is complete: %t", watched.complete())
				}
			})
		})
	}
}

// A gate may begin just when one was taken away.
func TestReplicaThatWasTakenAwayBeforeTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var watched crew
		r := newOne
		r.Config.StartTimeout = 30 * time.Second
		a, c := deploy.Replica{Name: "a", Status: deploy.ReplicaReady}, deploy.Replica{Name: "c", Status: deploy.ReplicaStarting}
		if err := muster(&watched, r, 20, a, c); err != nil || watched.complete() {
			t.Errorf("it is complete: %t, %v", watched.complete(), err)
		}
		c.Status = deploy.ReplicaReady
		if err := muster(&watched, r, 2, a, c); err != nil || !watched.complete() {
			t.Errorf("it is complete: %t, %v", watched.complete(), err)
		}
	})
}

func TestRosterCountsWhoWasTakenAway(t *testing.T) {
	known := roster{}
	for i, c := range []struct {
		replicas []deploy.Replica
		want     int
	}{
		{[]deploy.Replica{{Name: "a", Status: deploy.ReplicaReady}, {Name: "b", Status: deploy.ReplicaReady}, {Name: "c", Status: deploy.ReplicaStarting}}, 0},
		{[]deploy.Replica{{Name: "a", Status: deploy.ReplicaReady}, {Name: "b", Status: deploy.ReplicaUnready}}, 0},
		{[]deploy.Replica{{Name: "a", Status: deploy.ReplicaReady}, {Name: "d", Status: deploy.ReplicaStarting}}, 1},
		{[]deploy.Replica{{Name: "d", Status: deploy.ReplicaReady}}, 2},
	} {
		if got := known.gone(deploy.Running{Replicas: c.replicas}); got != c.want {
			t.Errorf("at look %d %d are gone, want %d", i, got, c.want)
		}
	}
	now := deploy.Running{Replicas: []deploy.Replica{{Name: "d", Status: deploy.ReplicaReady}}}
	if known.anew(now); known.gone(now) != 0 {
		t.Errorf("who is replaced is still missed: %v", known)
	}
}
