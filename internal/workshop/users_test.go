package workshop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// app answers in turns as a good version does, as a bad one, and as nobody.
func app(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) % 4 {
		case 0:
			fmt.Fprintln(w, "hello from 1.0.0")
		case 1:
			w.Header().Set(revisionHeader, "b")
			fmt.Fprintln(w, "hello from 1.1.0")
		case 2:
			http.Error(w, "error from 1.1.0", http.StatusInternalServerError)
		case 3:
			w.Header().Set(revisionHeader, "b")
			http.Error(w, "hello from a proxy that found nobody", http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestUsersTellAnswersFaultsAndLostRequestsApart(t *testing.T) {
	url, asked := app(t)
	users := Send(url, 500)
	for asked.Load() < 40 {
		time.Sleep(time.Millisecond)
	}
	c := users.End()
	n := int(asked.Load())
	if c.Sent != n || len(users.Latencies()) != n {
		t.Errorf("%d requests were sent with %d latencies, and %d have arrived", c.Sent, len(users.Latencies()), n)
	}
	want := Count{
		Sent: n, Answered: map[string]int{"1.0.0": n / 4, "1.1.0": (n + 3) / 4}, Faults: map[string]int{"1.1.0": (n + 2) / 4}, Lost: (n + 1) / 4,
		LostBy: map[string]int{"1.1.0": (n + 1) / 4},
	}
	if diff := cmp.Diff(want, c, cmpopts.IgnoreFields(Count{}, "FirstLost", "Slowest", "First", "FirstFault", "Last")); diff != "" {
		t.Errorf("of %d requests (-want +got):\n%s", n, diff)
	}
	if c.Failed() != c.Lost+c.Faults["1.1.0"] || c.FirstLost == "" {
		t.Errorf("failed %d, first lost %q", c.Failed(), c.FirstLost)
	}
	if first, fault, last := c.First["1.1.0"], c.FirstFault["1.1.0"], c.Last["1.1.0"]; first.IsZero() || fault.Before(first) || last.Before(fault) || !c.FirstFault["1.0.0"].IsZero() {
		t.Errorf("first %v, first fault %v, last %v", c.First, c.FirstFault, c.Last)
	}
}

func TestARequestThatNobodyTakesIsLost(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	users := Send(server.URL, 200)
	for users.Count().Sent < 5 {
		time.Sleep(time.Millisecond)
	}
	if c := users.End(); c.Lost != c.Sent || c.FirstLost == "" {
		t.Errorf("%d of %d requests were lost: %q", c.Lost, c.Sent, c.FirstLost)
	}
}

func TestCountsAddUp(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	a := Count{
		Sent: 5, Answered: map[string]int{"1": 3}, Faults: map[string]int{"2": 1}, Lost: 1, FirstLost: "x",
		LostBy: map[string]int{"2": 1}, Slowest: time.Second, Last: map[string]time.Time{"1": early}, First: map[string]time.Time{"1": late},
		FirstFault: map[string]time.Time{"2": late},
	}
	b := Count{
		Sent: 2, Answered: map[string]int{"1": 1, "3": 1}, Faults: map[string]int{},
		LostBy: map[string]int{}, Slowest: time.Minute, Last: map[string]time.Time{"1": late}, First: map[string]time.Time{"1": early},
		FirstFault: map[string]time.Time{},
	}
	sum := a.Plus(b)
	want := Count{
		Sent: 7, Answered: map[string]int{"1": 4, "3": 1}, Faults: map[string]int{"2": 1}, Lost: 1, FirstLost: "x",
		LostBy: map[string]int{"2": 1}, Slowest: time.Minute, Last: map[string]time.Time{"1": late}, First: map[string]time.Time{"1": early},
		FirstFault: map[string]time.Time{"2": late},
	}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("sum (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(b, sum.Since(a), cmpopts.IgnoreFields(Count{}, "FirstLost", "FirstFault")); diff != "" {
		t.Errorf("sum less the first (-want +got):\n%s", diff)
	}
}
