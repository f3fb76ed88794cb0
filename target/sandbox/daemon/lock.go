package daemon

import (
	"os"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// hold is a lock with what tells its owner's process from a later one that
// happens to have the same number.
type hold struct {
	deploy.Lock
	// Born identifies the owner's process; empty where it could not be seen,
	// and then only the expiry ends the lock.
	Born string `json:"born,omitempty"`
}

// newHold makes or extends a lock.
func newHold(before *hold, o deploy.Owner, ttl time.Duration, now time.Time) *hold {
	h := &hold{Lock: deploy.Lock{Owner: o, Since: now, Expires: now.Add(ttl)}}
	if before != nil && before.Owner.Run == o.Run {
		h.Since = before.Since
	}
	if onThisHost(o) {
		h.Born = processBirth(o.PID)
	}
	return h
}

// holds reports whether the lock keeps others away.
func (h *hold) holds(now time.Time) bool {
	return h != nil && now.Before(h.Expires) && !h.ownerGone()
}

// ownerGone reports whether the owner's process is known to have ended, ownerThere
// whether it is known to be there. Neither is known of one on another host.
func (h *hold) ownerGone() bool { return h.seen() && processBirth(h.Owner.PID) != h.Born }

func (h *hold) ownerThere() bool { return h.seen() && processBirth(h.Owner.PID) == h.Born }

// seen reports whether the owner's process was seen, and could be seen again.
func (h *hold) seen() bool { return h.Born != "" && onThisHost(h.Owner) }

// onThisHost reports whether the owner is a process that can be looked at.
func onThisHost(o deploy.Owner) bool {
	host, err := os.Hostname()
	return err == nil && o.Host == host && o.PID > 0
}
