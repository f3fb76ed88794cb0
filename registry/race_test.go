//go:build race

package registry

// racing says that the race detector is on.
const racing = true
