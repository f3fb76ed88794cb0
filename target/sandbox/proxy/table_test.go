package proxy

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestTableValidate(t *testing.T) {
	ok := []Backend{{ID: "a", Addr: "127.0.0.1:1"}}
	tests := map[string]struct {
		table Table
		want  string // part of the error; empty means valid
	}{
		"empty":               {Table{}, ""},
		"one":                 {Table{[]Arm{{"r1", 100, ok}}}, ""},
		"nobody yet":          {Table{[]Arm{{"r1", 0, ok}}}, ""},
		"no backends":         {Table{[]Arm{{"r1", 100, nil}}}, ""},
		"candidate first":     {Table{[]Arm{{"r2", 10, nil}, {"r1", 90, ok}}}, ""},
		"thirds":              {Table{[]Arm{{"r2", deploy.Percent(100) / 3, nil}, {"r1", deploy.Percent(200) / 3, ok}}}, ""},
		"too little":          {Table{[]Arm{{"r2", 10, nil}, {"r1", 80, ok}}}, "shares add up to 90%, not to 100%"},
		"too much":            {Table{[]Arm{{"r2", 10, nil}, {"r1", 100, ok}}}, "shares add up to 110%"},
		"below nothing":       {Table{[]Arm{{"r2", -10, nil}, {"r1", 110, ok}}}, "share -10% is not between"},
		"not a number":        {Table{[]Arm{{"r1", deploy.Percent(math.NaN()), ok}}}, "is not between"},
		"no revision":         {Table{[]Arm{{"", 100, ok}}}, "arm 1: no revision"},
		"revision twice":      {Table{[]Arm{{"r1", 50, ok}, {"r1", 50, nil}}}, "revision r1: in two arms"},
		"backend twice":       {Table{[]Arm{{"r1", 50, ok}, {"r2", 50, ok}}}, "backend a: listed twice"},
		"backend without ID":  {Table{[]Arm{{"r1", 100, []Backend{{"", "127.0.0.1:1"}}}}}, "no ID"},
		"address without":     {Table{[]Arm{{"r1", 100, []Backend{{"a", "127.0.0.1"}}}}}, "missing port"},
		"address out of port": {Table{[]Arm{{"r1", 100, []Backend{{"a", "127.0.0.1:70000"}}}}}, "is not host:port"},
		"address out of host": {Table{[]Arm{{"r1", 100, []Backend{{"a", ":80"}}}}}, "is not host:port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := New(Options{App: "hello", Environment: "staging"}).Set(test.table)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "hello/staging") {
				t.Errorf("got %v, want hello/staging and %q", err, test.want)
			}
		})
	}
}

func TestBoundaries(t *testing.T) {
	tests := map[string]struct {
		shares []deploy.Percent
		want   []int
	}{
		"nobody":             {[]deploy.Percent{0, 0}, []int{0, 0}},
		"all":                {[]deploy.Percent{100}, []int{10000}},
		"tenth":              {[]deploy.Percent{10, 90}, []int{1000, 10000}},
		"decimals":           {[]deploy.Percent{10.1, 89.9}, []int{1010, 10000}},
		"a trace is someone": {[]deploy.Percent{0.001, 99.999}, []int{1, 10000}},
		"all but a trace":    {[]deploy.Percent{99.995, 0.005}, []int{10000, 10000}},
		"back to live":       {[]deploy.Percent{0, 100}, []int{0, 10000}},
		"over to candidate":  {[]deploy.Percent{100, 0}, []int{10000, 10000}},
		"thirds":             {[]deploy.Percent{100. / 3, 100. / 3, 100. / 3}, []int{3334, 6667, 10000}},
		"sum below 100":      {[]deploy.Percent{33.33, 66.665}, []int{3333, 10000}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := boundaries(test.shares)
			for i := range got {
				if got[i] != test.want[i] {
					t.Fatalf("boundaries(%v) = %v, want %v", test.shares, got, test.want)
				}
			}
		})
	}
}

// Whatever the shares are: each arm gets as many positions as its share to a
// position, an arm without share gets none, and nobody is left over.
func TestPositionsMatchShares(t *testing.T) {
	for range 100 {
		shares := randomShares(1 + rand.IntN(5))
		r := New(Options{})
		arms := make([]Arm, len(shares))
		for i, s := range shares {
			arms[i] = Arm{Revision: string(rune('a' + i)), Share: s}
		}
		if err := r.Set(Table{arms}); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for u := range positions {
			got[r.table.Load().at(u).revision]++
		}
		for _, a := range arms {
			want := float64(a.Share) * positions / 100
			if n := float64(got[a.Revision]); math.Abs(n-want) > 1 || a.Share == 0 && n != 0 {
				t.Fatalf("shares %v: arm %s has %g positions, want %g", shares, a.Revision, n, want)
			}
		}
	}
}

// A user on the candidate never leaves it while its share grows.
func TestGrowingShareMovesNobodyBack(t *testing.T) {
	moved := make([]bool, positions)
	r := New(Options{})
	for share := deploy.Percent(0); share <= 100; share += 2.5 {
		if err := r.Set(Table{[]Arm{{"new", share, nil}, {"old", 100 - share, nil}}}); err != nil {
			t.Fatal(err)
		}
		for u := range positions {
			on := r.table.Load().at(u).revision == "new"
			if moved[u] && !on {
				t.Fatalf("position %d went back at %s", u, share)
			}
			moved[u] = on
		}
	}
}

// randomShares are n shares, some of them 0, that add up to 100.
func randomShares(n int) []deploy.Percent {
	shares := make([]deploy.Percent, n)
	left := deploy.Percent(100)
	for i := range n - 1 {
		if rand.IntN(3) > 0 {
			shares[i] = left * deploy.Percent(rand.Float64())
			left -= shares[i]
		}
	}
	shares[n-1] = left
	return shares
}
