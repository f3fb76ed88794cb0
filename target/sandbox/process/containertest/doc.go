// Package containertest runs a program as root of a container that an engine
// has started with its defaults would run it, without an engine: with the
// capabilities that such a root is left with, and refused the system calls that
// make namespaces, mount, and change the host's name. The two lists are those
// of Docker
// (https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities,
// https://github.com/moby/profiles/blob/main/seccomp/default.json). Only root
// can do that.
package containertest
