//go:build !linux

package main

import "errors"

// limitMemory is for Linux, whose kernel knows such a limit.
func limitMemory(bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	return errors.ErrUnsupported
}
