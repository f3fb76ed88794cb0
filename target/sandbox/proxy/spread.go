package proxy

import (
	"sync/atomic"

	"github.com/slipway-ci/slipway/deploy"
)

// groups of clients that are told apart. A client is in the group that its
// position leaves when divided by this, so that each arm has clients of all
// groups, however few positions it has.
const groups = 256

// spread counts the requests of one revision by groups of clients, without locks,
// in 4 KiB. Who brings no cookie has a position of its own at each request.
type spread struct {
	of [groups]struct{ requests, errors atomic.Uint64 }
}

// count adds one request of a position; a nil spread counts nothing.
func (s *spread) count(position int, r result) {
	if s == nil || position < 0 {
		return
	}
	group := &s.of[position%groups]
	group.requests.Add(1)
	if r != fine {
		group.errors.Add(1)
	}
}

// snapshot adds the groups up; a nil spread has none.
func (s *spread) snapshot() deploy.Spread {
	var sum deploy.Spread
	if s == nil {
		return sum
	}
	for i := range s.of {
		errors := s.of[i].errors.Load() // before requests, of which it is a part
		sum.Add(s.of[i].requests.Load(), errors)
	}
	return sum
}
