// Package ociregistry is an OCI distribution registry (v1.1) on disk, for the
// images of the sandbox: what it has answered "created" for is still there
// after a restart, a kill or a power cut, and what it could not store is not.
//
// It keeps no state but the files under its folder:
//
//	blobs/sha256/HEX                              a blob, shared by all repositories
//	repositories/NAME/_manifests/HEX              a manifest: a line with its media type, then its bytes
//	repositories/NAME/_tags/TAG                   the digest that a tag names
//	tmp/                                          what is being written; emptied at the start
//
// Every file is written under tmp, synced, renamed to its place, and its
// folder synced. A name's components begin with a letter or a digit, so that
// the underscore keeps them apart from what the registry adds.
//
// Content is checked against its digest when it comes in and when it is read
// back: a manifest each time, a blob the first time. A file that does not
// match counts as absent, so that pushing again repairs it.
//
// Everybody who can connect may read and write: bind it to loopback alone.
package ociregistry
