// Package process unpacks images and runs one replica of one as an isolated
// process: by Linux namespaces, as root and as an ordinary user, or, for root
// where namespaces are refused as in a container, by a changed root and a user
// of its own. Chosen says which of the two it is; they are never mixed.
//
// With Namespaces, a replica sees its image as a read-only root, its own
// processes, its own host name, and a bounded /tmp, /run, /var/tmp and
// /dev/shm that vanish with it. It is root in there, which is the caller
// outside, without any capability and without a way to get one; other users do
// not exist, so a program that changes its user fails. The network is the
// host's on purpose: the proxy in front of replicas and the replicas meet on
// loopback with no bridge, no address to manage and no privilege, and PORT
// tells each replica which port is its own. That keeps programs from
// disturbing one another by accident. It is no fence against hostile code,
// which still has the network (abstract sockets among it) and the whole kernel
// interface.
//
// With Chroot, a replica sees a copy of its image that is made of hard links,
// in which the same folders are its to write, on disk and without a bound; the
// copy vanishes with it. It runs as a user that no other replica has, without
// capabilities and without a way to get any, so that it can change nothing of
// the image and signal nobody but itself. /proc is empty, for nobody may mount
// there; host name, IPC and process IDs are the machine's.
//
// How a replica is built: Start runs this very executable again, in new
// namespaces or not, where it builds the replica's world, gives up its powers
// and stays as a small init that starts the app, passes signals on, reaps
// orphans and tells how the app ended. It costs a few megabytes a replica, and
// the app behaves as on any machine, where process 1 itself would ignore a
// SIGTERM that it has no handler for. When the caller dies, even by SIGKILL,
// the pipe that it holds breaks, and the init ends everything in the replica
// at once: by leaving, as process 1 of its namespace, or with a signal to all
// that its app's user runs.
//
// An executable that calls Start or Supported therefore begins like this,
// before it parses flags:
//
//	if process.IsChild() {
//		process.Child()
//	}
package process
