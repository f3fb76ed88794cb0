package proxy

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// Requests are told apart by the positions that clients keep, while users are
// divided; anew when they are divided again.
func TestSpread(t *testing.T) {
	r, s := front(t)
	fails := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	one, other := replica(t, "a", fails), replica(t, "b", says("fine"))
	visit := func(position, times int) {
		t.Helper()
		for range times {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.AddCookie(&http.Cookie{Name: DefaultCookie, Value: strconv.Itoa(position)})
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		}
	}
	want := func(what, revision string, each ...int) {
		t.Helper()
		var sum deploy.Spread
		for i := 0; i < len(each); i += 2 {
			sum.Add(uint64(each[i]), uint64(each[i+1]))
		}
		var got deploy.Spread
		eventually(t, what, func() bool { // a request is counted after its answer
			got = r.Spread(revision)
			return got.Requests == sum.Requests
		})
		if diff := cmp.Diff(sum, got); diff != "" {
			t.Errorf("%s, of %s (-want +got):\n%s", what, revision, diff)
		}
	}

	set(t, r, Arm{"live", 100, []Backend{other}})
	visit(7, 3)
	want("all go the same way", "live")
	divided := []Arm{{"candidate", 10, []Backend{one}}, {"live", 90, []Backend{other}}}
	set(t, r, divided...)
	visit(7, 3)
	visit(8, 1)
	visit(7+groups, 2) // in the group of 7
	visit(5000, 4)
	want("divided", "candidate", 5, 5, 1, 1)
	want("divided", "live", 4, 0)
	divided[0].Share, divided[1].Share = 50, 50
	set(t, r, divided...)
	visit(8, 1)
	want("at another share", "candidate", 5, 5, 2, 2)
	set(t, r, Arm{"candidate", 100, []Backend{one}}, Arm{"live", 0, []Backend{other}})
	visit(8, 1)
	want("not divided any more", "candidate", 5, 5, 2, 2)
	set(t, r, divided...)
	want("divided again", "candidate")
	req := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Route("candidate").ServeHTTP(httptest.NewRecorder(), req)
	want("by its own route", "candidate")
	want("of nobody", "none")
}

func TestSpreadCountsWithoutAllocating(t *testing.T) {
	var s spread
	if n := testing.AllocsPerRun(100, func() { s.count(4711, failed); (*spread)(nil).count(1, fine); s.count(-1, fine) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
	if got := s.snapshot(); got.Requests == 0 || got.Requests != got.Errors || got.ErrorsSquared != float64(got.Errors*got.Errors) {
		t.Errorf("%+v", got)
	}
}
