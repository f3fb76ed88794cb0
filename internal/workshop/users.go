package workshop

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// answerLimit is how long a user waits for an answer: long enough for a machine
// that is too busy to answer at all for a while.
const answerLimit = 30 * time.Second

// Users send requests to the app at a steady rate, each as a new user, whether
// or not those before have been answered.
type Users struct {
	attacker *vegeta.Attacker
	done     chan struct{}

	mu        sync.Mutex
	count     Count
	latencies []time.Duration
}

// Count is what users got.
type Count struct {
	// Sent are the requests whose end is known.
	Sent int
	// Answered are the good answers, by the version that gave them.
	Answered map[string]int
	// Faults are the errors that a version itself answered with.
	Faults map[string]int
	// Lost are requests that failed in any other way: no version of the app
	// is to blame for them.
	Lost int
	// FirstLost says what became of the first of them.
	FirstLost string
	// Slowest is the longest that any answer took.
	Slowest time.Duration
	// Last is when the last request was sent that a version answered.
	Last map[string]time.Time
}

// Send lets users send requests to a URL, so many a second, until End.
func Send(url string, perSecond int) *Users {
	u := &Users{
		attacker: vegeta.NewAttacker(vegeta.Timeout(answerLimit)),
		done:     make(chan struct{}),
		count:    Count{Answered: map[string]int{}, Faults: map[string]int{}, Last: map[string]time.Time{}},
	}
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: url})
	results := u.attacker.Attack(target, vegeta.Rate{Freq: perSecond, Per: time.Second}, 0, "")
	go func() {
		defer close(u.done)
		for r := range results {
			u.add(r)
		}
	}()
	return u
}

func (u *Users) add(r *vegeta.Result) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := &u.count
	c.Sent++
	c.Slowest = max(c.Slowest, r.Latency)
	u.latencies = append(u.latencies, r.Latency)
	version, good := speaker(r)
	switch {
	case version == "":
		c.Lost++
		c.FirstLost = cmp.Or(c.FirstLost, fate(r))
		return
	case good:
		c.Answered[version]++
	default:
		c.Faults[version]++
	}
	if r.Timestamp.After(c.Last[version]) {
		c.Last[version] = r.Timestamp
	}
}

// speaker is the version of hello that gave an answer, and whether it was a
// good one; empty where no version did.
func speaker(r *vegeta.Result) (version string, good bool) {
	body := strings.TrimSpace(string(r.Body))
	if v, found := strings.CutPrefix(body, "hello from "); found && r.Code == http.StatusOK && r.Error == "" {
		return v, true
	}
	if v, found := strings.CutPrefix(body, "error from "); found && r.Code == http.StatusInternalServerError {
		return v, false
	}
	return "", false
}

// fate says what became of a request that was lost.
func fate(r *vegeta.Result) string {
	body := strings.TrimSpace(string(r.Body))
	return fmt.Sprintf("sent at %s, after %s: %s %q", r.Timestamp.Format(time.RFC3339Nano), r.Latency.Round(time.Millisecond), r.Error, body[:min(len(body), 200)])
}

// Count is what came of the requests so far.
func (u *Users) Count() Count {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count.Since(Count{})
}

// End lets the requests under way finish and sends no more.
func (u *Users) End() Count {
	u.attacker.Stop()
	<-u.done
	return u.Count()
}

// Latencies are how long the answers took, in the order in which they came.
func (u *Users) Latencies() []time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.latencies)
}

// Since is what was added to an earlier count. FirstLost, Slowest and Last are
// of all.
func (c Count) Since(before Count) Count {
	c.Answered = less(c.Answered, before.Answered)
	c.Faults = less(c.Faults, before.Faults)
	c.Last = maps.Clone(c.Last)
	c.Sent -= before.Sent
	c.Lost -= before.Lost
	return c
}

// Plus is the sum of two counts.
func (c Count) Plus(other Count) Count {
	c.Answered = more(c.Answered, other.Answered)
	c.Faults = more(c.Faults, other.Faults)
	last := map[string]time.Time{}
	maps.Copy(last, other.Last)
	for version, at := range c.Last {
		if at.After(last[version]) {
			last[version] = at
		}
	}
	c.Last = last
	c.Sent += other.Sent
	c.Lost += other.Lost
	c.FirstLost = cmp.Or(c.FirstLost, other.FirstLost)
	c.Slowest = max(c.Slowest, other.Slowest)
	return c
}

func more(of, by map[string]int) map[string]int {
	sum := map[string]int{}
	for _, counts := range []map[string]int{of, by} {
		for version, n := range counts {
			sum[version] += n
		}
	}
	return sum
}

func less(of, by map[string]int) map[string]int {
	rest := map[string]int{}
	for version, n := range of {
		if n -= by[version]; n != 0 {
			rest[version] = n
		}
	}
	return rest
}

// Failed are all requests that did not get a good answer.
func (c Count) Failed() int {
	n := c.Lost
	for _, faults := range c.Faults {
		n += faults
	}
	return n
}
