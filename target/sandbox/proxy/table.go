package proxy

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"

	"github.com/slipway-ci/slipway/deploy"
)

// positions is how finely users are told apart: a hundredth of a percent.
const positions = 10_000

// slack is how far the shares of a table may be from adding up to 100, to
// allow for thirds.
const slack = deploy.Percent(0.01)

// Table says which revisions get which share of the users, and where their
// replicas are. The arm that takes the lowest positions comes first; that
// should be the candidate. Shares add up to 100, or to 0 when no user may be
// let in yet; a table without arms is empty.
type Table struct {
	Arms []Arm
}

// Arm is a revision with its share of the users. An arm of share 0 gets
// nobody, not even those who were placed on it before; it can be reached
// through [Router.Route].
type Arm struct {
	// Revision is the ID that counts and answers go by; unique in a table.
	Revision string
	// Share is heeded to a hundredth of a percent, rounded up.
	Share deploy.Percent
	// Backends are the replicas that may get requests. With none, users of
	// this arm get 503, and it is counted.
	Backends []Backend
}

// Backend is one replica.
type Backend struct {
	// ID is unique in a table. The same ID with another Addr is a replica that
	// was started again.
	ID string
	// Addr is host:port, such as 127.0.0.1:40123.
	Addr string
}

// validate finds everything that is wrong with a table.
func (t Table) validate() error {
	var errs []error
	var sum deploy.Percent
	seen := map[string]bool{}
	for i, a := range t.Arms {
		if a.Revision == "" {
			errs = append(errs, fmt.Errorf("arm %d: no revision", i+1))
		}
		if seen["revision "+a.Revision] {
			errs = append(errs, fmt.Errorf("revision %s: in two arms", a.Revision))
		}
		seen["revision "+a.Revision] = true
		if !(a.Share >= 0 && a.Share <= 100) {
			errs = append(errs, fmt.Errorf("revision %s: share %s is not between 0%% and 100%%", a.Revision, a.Share))
		}
		sum += a.Share
		for _, b := range a.Backends {
			if seen["backend "+b.ID] {
				errs = append(errs, fmt.Errorf("backend %s: listed twice", b.ID))
			}
			seen["backend "+b.ID] = true
			errs = append(errs, b.validate())
		}
	}
	if sum != 0 && math.Abs(float64(sum-100)) > float64(slack) {
		errs = append(errs, fmt.Errorf("shares add up to %s, not to 100%%", sum))
	}
	return errors.Join(errs...)
}

// validate checks that a backend can be told and reached.
func (b Backend) validate() error {
	if b.ID == "" {
		return fmt.Errorf("backend %q: no ID", b.Addr)
	}
	host, port, err := net.SplitHostPort(b.Addr)
	if err != nil {
		return fmt.Errorf("backend %s: %w", b.ID, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" {
		return fmt.Errorf("backend %s: address %q is not host:port", b.ID, b.Addr)
	}
	return nil
}

// table is a Table as requests use it; it never changes once it is in force.
type table struct {
	arms []*arm
	// open is whether any arm has users; split is whether several have.
	open, split bool
}

// arm is an Arm with the end of its positions.
type arm struct {
	revision string
	end      int // first position that is not this arm's
	backends []*backend
	traffic  *traffic
	spread   *spread // nil while nobody is divided
}

// at is the arm of a position; only for a table that is open.
func (t *table) at(position int) *arm {
	for _, a := range t.arms {
		if position < a.end {
			return a
		}
	}
	return nil // the last end is always positions
}

// find is the arm of a revision, or nil.
func (t *table) find(revision string) *arm {
	for _, a := range t.arms {
		if a.revision == revision {
			return a
		}
	}
	return nil
}

// has reports whether a backend is in the table.
func (t *table) has(b *backend) bool {
	for _, a := range t.arms {
		for _, other := range a.backends {
			if other == b {
				return true
			}
		}
	}
	return false
}

// boundaries gives each share its end: ends[i-1] <= u < ends[i] is arm i. The
// shares are added up before rounding, so that no error adds up; rounding is
// upward, so that no share above zero rounds to nobody; and the last arm that
// has users takes what is left.
func boundaries(shares []deploy.Percent) []int {
	ends := make([]int, len(shares))
	var sum float64
	end, last := 0, -1
	for i, s := range shares {
		sum += float64(s)
		if s > 0 {
			// Less a hair, or 10.1 would take 1011 positions.
			end = min(positions, int(math.Ceil(sum*positions/100-1e-6)))
			last = i
		}
		ends[i] = end
	}
	for i := max(last, 0); last >= 0 && i < len(ends); i++ {
		ends[i] = positions
	}
	return ends
}
