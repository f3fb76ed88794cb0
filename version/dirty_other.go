//go:build !unix

package version

import "io/fs"

// errNotDir is what a path through a file gives.
var errNotDir = fs.ErrNotExist
