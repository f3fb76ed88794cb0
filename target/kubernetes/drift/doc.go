// Package drift holds what there should be in an environment against what is there:
// which revisions the journal has left, families of objects compared by dry runs of
// the server, secrets by their versions. It names the differences, and puts objects
// and secrets back. Which objects there should be is for the environment to say, and
// so is to wait until what was put back is in force.
package drift
