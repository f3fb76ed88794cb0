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
	// revisions are the versions by the names that the target has for them, and
	// lost are requests that were sent to a revision and lost.
	revisions map[string]string
	lost      map[string]int
	losses    []Loss
}

// Loss is a request that no version of the app answered.
type Loss struct {
	// Sent is when it was, Ended when that it was lost was known.
	Sent, Ended time.Time
	Fate        string
}

// revisionHeader names the revision that a request was sent to, also on the
// answer of a proxy that had none from it.
const revisionHeader = "Slipway-Revision"

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
	// LostBy are those of them that were sent to a version that has answered
	// others.
	LostBy map[string]int
	// FirstFault is when the first request was sent that a version answered with
	// an error.
	FirstFault map[string]time.Time
	// Slowest is the longest that any answer took.
	Slowest time.Duration
	// First and Last are when the first and the last request were sent that a
	// version answered.
	First, Last map[string]time.Time
}

// Send lets users send requests to a URL, so many a second, until End.
func Send(url string, perSecond int) *Users {
	return SendBy(nil, url, perSecond)
}

// SendBy is Send by a way of its own to hosts that this machine does not know;
// nil is as any client.
func SendBy(way http.RoundTripper, url string, perSecond int) *Users {
	options := []func(*vegeta.Attacker){vegeta.Timeout(answerLimit)}
	if way != nil {
		options = append(options, vegeta.Client(&http.Client{Transport: way, Timeout: answerLimit}))
	}
	u := &Users{
		attacker: vegeta.NewAttacker(options...),
		done:     make(chan struct{}),
		count: Count{
			Answered: map[string]int{}, Faults: map[string]int{},
			First: map[string]time.Time{}, FirstFault: map[string]time.Time{}, Last: map[string]time.Time{},
		},
		revisions: map[string]string{}, lost: map[string]int{},
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
	revision := r.Headers.Get(revisionHeader)
	switch {
	case version == "":
		c.Lost++
		c.FirstLost = cmp.Or(c.FirstLost, fate(r))
		u.lost[revision]++
		u.losses = append(u.losses, Loss{Sent: r.Timestamp, Ended: r.End(), Fate: fate(r)})
		return
	case good:
		c.Answered[version]++
	default:
		c.Faults[version]++
		earliest(c.FirstFault, version, r.Timestamp)
	}
	if revision != "" {
		u.revisions[revision] = version
	}
	earliest(c.First, version, r.Timestamp)
	latest(c.Last, version, r.Timestamp)
}

// earliest and latest keep a moment if there is none before it, or after it.
func earliest(of map[string]time.Time, version string, at time.Time) {
	if before, known := of[version]; !known || at.Before(before) {
		of[version] = at
	}
}

func latest(of map[string]time.Time, version string, at time.Time) {
	if at.After(of[version]) {
		of[version] = at
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
	c := u.count.Since(Count{})
	for revision, version := range u.revisions {
		c.LostBy = more(c.LostBy, map[string]int{version: u.lost[revision]})
	}
	return c
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

// Losses are the requests that were lost so far, in the order in which that was
// known.
func (u *Users) Losses() []Loss {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.losses)
}

// Since is what was added to an earlier count. FirstLost, Slowest and moments are
// of all.
func (c Count) Since(before Count) Count {
	c.Answered = less(c.Answered, before.Answered)
	c.Faults = less(c.Faults, before.Faults)
	c.LostBy = less(c.LostBy, before.LostBy)
	c.First, c.FirstFault, c.Last = maps.Clone(c.First), maps.Clone(c.FirstFault), maps.Clone(c.Last)
	c.Sent -= before.Sent
	c.Lost -= before.Lost
	return c
}

// Plus is the sum of two counts.
func (c Count) Plus(other Count) Count {
	c.Answered = more(c.Answered, other.Answered)
	c.Faults = more(c.Faults, other.Faults)
	c.LostBy = more(c.LostBy, other.LostBy)
	c.First, c.FirstFault = extreme(earliest, c.First, other.First), extreme(earliest, c.FirstFault, other.FirstFault)
	c.Last = extreme(latest, c.Last, other.Last)
	c.Sent += other.Sent
	c.Lost += other.Lost
	c.FirstLost = cmp.Or(c.FirstLost, other.FirstLost)
	c.Slowest = max(c.Slowest, other.Slowest)
	return c
}

// extreme are the moments that one of earliest and latest keeps of both.
func extreme(keep func(map[string]time.Time, string, time.Time), of, and map[string]time.Time) map[string]time.Time {
	kept := map[string]time.Time{}
	for _, moments := range []map[string]time.Time{of, and} {
		for version, at := range moments {
			keep(kept, version, at)
		}
	}
	return kept
}

func more(of, by map[string]int) map[string]int {
	sum := map[string]int{}
	for _, counts := range []map[string]int{of, by} {
		for version, n := range counts {
			if n != 0 {
				sum[version] += n
			}
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
