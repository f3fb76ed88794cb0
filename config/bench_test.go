package config_test

import (
	"testing"

	"github.com/slipway-ci/slipway/config"
)

// BenchmarkLoad reads a file with every key in it, from disk to App.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := config.Load("testdata/ok/everything.yaml", rules()); err != nil {
			b.Fatal(err)
		}
	}
}
