package main

import "syscall"

// limitMemory lets the kernel refuse the process more data than that.
func limitMemory(bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: bytes, Max: bytes})
}
