package process

// Isolation is how replicas are kept from one another and from the machine.
// Package process chooses the stronger one that works, once for all replicas
// of a process.
type Isolation string

// The kinds of isolation, the stronger one first.
const (
	// Namespaces give a replica its own view of files, processes, users, host
	// name and IPC.
	Namespaces Isolation = "namespaces"
	// Chroot is for root where the kernel or a container's engine refuses
	// namespaces. A replica has a root of its own and runs as an ordinary user
	// of its own. It shares everything else with the machine, and has no /proc.
	Chroot Isolation = "chroot"
)
