// Package sandbox drives the environments of this machine: a background
// process, started by Up, holds a registry, runs images as isolated processes
// and puts a proxy before each environment. This package is its client; the
// process itself is target/sandbox/daemon.
package sandbox
