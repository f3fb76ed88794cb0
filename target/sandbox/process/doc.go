// Package process unpacks images and runs one replica of one as a process that
// Linux namespaces isolate, as root and as an ordinary user.
//
// A replica sees its image as a read-only root, its own processes, its own
// host name, and a bounded /tmp, /run, /var/tmp and /dev/shm that vanish with
// it. It is root in there, which is the caller outside, without any
// capability and without a way to get one; other users do not exist, so a
// program that changes its user fails. The network is the host's on purpose:
// the proxy in front of replicas and the replicas meet on loopback with no
// bridge, no address to manage and no privilege, and PORT tells each replica
// which port is its own. That keeps programs from disturbing one another by
// accident. It is no fence against hostile code, which still has the network
// (abstract sockets among it) and the whole kernel interface.
//
// How a replica is built: Start runs this very executable again, in new
// namespaces, where it builds the replica's world, gives up its powers and
// stays as a small init: process 1 starts the app, passes signals on, reaps
// orphans and tells how the app ended. It costs a few megabytes a replica, and
// the app behaves as on any machine, where process 1 itself would ignore a
// SIGTERM that it has no handler for. When the caller dies, even by SIGKILL,
// the pipe that it holds breaks, the init leaves, and the kernel ends
// everything in the replica at once.
//
// An executable that calls Start or Supported therefore begins like this,
// before it parses flags:
//
//	if process.IsChild() {
//		process.Child()
//	}
package process
