package analysis

import (
	"math"
	"testing"
	"time"
)

func TestNumbersAreShort(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 1.1: "1.1", 0.1: "0.1", 0.0123456: "0.012", 100: "100", 99.95: "100", 1234567: "1234567", 0.1000001: "0.1", 2: "2",
	} {
		if got := number(x); got != want {
			t.Errorf("number(%g) = %s, want %s", x, got, want)
		}
	}
}

func TestChancesAreNotOverstated(t *testing.T) {
	for x, want := range map[float64]string{100: "100", 123.4: "100", 99.9: "90", 1 / 0.05: "20", 19.5: "19", 5e5: "500000", 1e300: "a million", 1: "1"} {
		if got := atMost(x); got != want {
			t.Errorf("atMost(%g) = %s, want %s", x, got, want)
		}
	}
}

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 1500 * time.Millisecond: "1.5 s", 12 * time.Second: "12 s", 119 * time.Second: "119 s", 5 * time.Minute: "5 min",
		3 * time.Hour: "3 h", 100 * time.Hour: "4 days", time.Duration(math.MaxInt64): "106752 days",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%s) = %s, want %s", d, got, want)
		}
	}
}

// The sentence that people read when a release goes back.
func TestTheSentence(t *testing.T) {
	samples := traffic{seed: 3, requests: 500, share: 10, live: .001, candidate: .011}.samples(100)
	v, after := observeAll(&Sequential{}, samples)
	const want = "errors 1.5% against 0.028% on the live version, after 412 requests in 8 s; chance of this on an equal version below 1 in 100"
	if v.Why != want || v.Decision != Revert {
		t.Errorf("%s after %d samples:\n%s\nwant\n%s", v.Decision, after, v.Why, want)
	}
}
