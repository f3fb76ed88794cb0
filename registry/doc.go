// Package registry makes images and brings them to where they are pulled from:
// it packs files into an image without a daemon, pushes it by digest, claims
// the version's tag for it, and finds and verifies what is there.
//
// The same files, commit and base are the same image, digest for digest. A
// version's tag names one image for ever.
package registry
