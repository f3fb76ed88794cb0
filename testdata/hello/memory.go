package main

import (
	"fmt"
	"net/http"
	"os"
	"sync"
)

// waste is memory that is never given back.
type waste struct {
	mu   sync.Mutex
	kept [][]byte
}

// add keeps more bytes, each of which was written to, so that there is memory
// behind it.
func (w *waste) add(bytes int) {
	if bytes == 0 {
		return
	}
	b := make([]byte, bytes)
	for i := range b {
		b[i] = 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, b)
}

// metrics tells a Prometheus how much memory the process has.
func metrics(w http.ResponseWriter, _ *http.Request) {
	bytes, err := resident()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = fmt.Fprintf(w, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes{version=%q} %d\n", version, bytes)
}

// resident is the resident set of this process in bytes, as Linux tells it.
func resident() (uint64, error) {
	content, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(content), &size, &pages); err != nil {
		return 0, fmt.Errorf("read /proc/self/statm: %w", err)
	}
	return pages * uint64(os.Getpagesize()), nil //nolint:gosec // sizes of pages are positive
}
