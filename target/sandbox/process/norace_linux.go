//go:build !race

package process

// childEnv is the environment of a replica's own process, which has little to do
// and should take little room.
var childEnv = []string{"GOMAXPROCS=1", "GOGC=20"}
