//go:build race

package process

// childEnv is the environment of a replica's own process when the race detector
// is in it, which else takes a second more to end.
var childEnv = []string{"GOMAXPROCS=1", "GOGC=20", "GORACE=atexit_sleep_ms=0"}
