package main

import "testing"

func TestDueIsExact(t *testing.T) {
	for _, share := range []uint64{0, 1, 10, 50, 99, 100} {
		failed := uint64(0)
		for n := range uint64(100) {
			if due(n+1, share) {
				failed++
			}
		}
		if failed != share {
			t.Errorf("%d of 100 requests fail, want %d", failed, share)
		}
	}
}
