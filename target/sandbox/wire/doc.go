// Package wire is what the sandbox's client and its background process say to
// each other: JSON over HTTP on a unix socket in the state folder. It holds
// the messages, the paths, the form in which errors travel, and nothing that
// acts.
package wire
