package report

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// rated is an environment whose users send requests to both versions, each
// second as many as are told: those of the old version and of the new one, with
// their errors.
func rated(seconds ...[4]uint64) *Environment {
	t := newTale().begin().rollout("production", "1.4.2", "1.5.0").start("production", 2)
	var sum [4]uint64
	for i, s := range seconds {
		for j, n := range s {
			sum[j] += n
		}
		t.observe("production", 2, time.Second, 0, 0)
		o := t.events[len(t.events)-1].Observation
		o.Elapsed = time.Duration(i+1) * time.Second
		o.Live, o.Candidate = deploy.Traffic{Requests: sum[0], Errors: sum[1]}, deploy.Traffic{Requests: sum[2], Errors: sum[3]}
	}
	timeline := &Timeline{}
	for _, e := range t.events {
		timeline.Add(e)
	}
	return timeline.story.Environment("production")
}

func TestChart(t *testing.T) {
	many := make([][4]uint64, 0, 200)
	for i := range uint64(200) {
		many = append(many, [4]uint64{100, 1, 100, i / 2})
	}
	for name, c := range map[string]struct {
		seconds [][4]uint64
		want    []string
	}{
		"nobody came":         {nil, nil},
		"once is no course":   {[][4]uint64{{90, 0, 10, 5}}, nil},
		"nothing failed":      {[][4]uint64{{90, 0, 10, 0}, {90, 0, 10, 0}}, nil},
		"only to the old one": {[][4]uint64{{90, 9, 0, 0}, {90, 0, 0, 0}}, nil},
		"the new one fails":   {[][4]uint64{{90, 0, 10, 0}, {90, 0, 10, 5}, {90, 9, 10, 10}}, []string{"▁▅█ 1.5.0: 15 of 30 failed", "▁▁▂ 1.4.2: 9 of 270 failed"}},
		"a pause":             {[][4]uint64{{90, 0, 10, 1}, {90, 0, 0, 0}, {0, 0, 10, 1}}, []string{"█·█ 1.5.0: 2 of 20 failed", "▁▁· 1.4.2: 0 of 180 failed"}},
		"a long one": {many, []string{
			"▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇▇██ 1.5.0: 9900 of 20000 failed", "▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁ 1.4.2: 200 of 20000 failed",
		}},
	} {
		e := rated(c.seconds...)
		if len(e.Rates) > maxRates {
			t.Errorf("%s: %d points", name, len(e.Rates))
		}
		if diff := cmp.Diff(c.want, chart(e)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What is told of the parts adds up to what is told of the whole, however often
// parts were made one.
func TestRatesAddUp(t *testing.T) {
	for n := range 300 {
		e := rated(slices.Repeat([][4]uint64{{7, 2, 3, 1}}, n)...)
		var live, candidate Traffic
		for _, r := range e.Rates {
			live, candidate = live.plus(r.Live), candidate.plus(r.Candidate)
		}
		k := uint64(n)
		if live != (Traffic{Requests: 7 * k, Errors: 2 * k}) || candidate != (Traffic{Requests: 3 * k, Errors: k}) {
			t.Fatalf("after %d seconds: %+v and %+v", n, live, candidate)
		}
	}
}
