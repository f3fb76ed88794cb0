package faulttest

import (
	"flag"
	"os"
	"testing"
)

// atOnce is how many environments are tried at the same time: they mostly wait for
// the cluster, so that the number of processors says nothing of it.
const atOnce = "5"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		os.Exit(2) // there is no such flag any more
	}
	os.Exit(m.Run())
}
