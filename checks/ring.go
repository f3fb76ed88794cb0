package checks

// ring keeps the last bytes that were written to it. It is not for use by
// several goroutines at once.
type ring struct {
	buf  []byte
	size int
}

// Write implements io.Writer; it never fails.
func (r *ring) Write(p []byte) (int, error) {
	r.buf = append(r.buf, p[max(0, len(p)-r.size):]...)
	if over := len(r.buf) - r.size; over > r.size { // twice as much as is kept: move once in a while
		r.buf = append(r.buf[:0], r.buf[over:]...)
	}
	return len(p), nil
}

// String is the last size bytes.
func (r *ring) String() string { return string(r.buf[max(0, len(r.buf)-r.size):]) }
