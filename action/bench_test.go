package action

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkMaskedWriter writes lines of 1,000 and of 100,000 bytes, whole and byte
// by byte, past values of the kinds that there are, one of them of 200 lines. A
// byte has to cost about the same in all of them.
func BenchmarkMaskedWriter(b *testing.B) {
	var file strings.Builder
	for i := range 200 {
		fmt.Fprintf(&file, "line-%d-of-a-key\n", i)
	}
	m := NewMasker("correct-horse-battery", spicy, "7", "***x", file.String())
	for _, length := range []int{1_000, 100_000} {
		line := []byte(strings.Repeat("all is well, ", length/13+1)[:length-1] + "\n")
		for _, size := range []int{1, length} {
			b.Run(fmt.Sprintf("%d bytes by %d", length, size), func(b *testing.B) {
				w := m.Writer(io.Discard)
				b.ReportAllocs()
				for b.Loop() {
					for at := 0; at < length; at += size {
						_, _ = w.Write(line[at : at+size])
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*length), "ns/byte")
			})
		}
	}
}

// BenchmarkMaskerCompletes is of values that a *** makes again and again.
func BenchmarkMaskerCompletes(b *testing.B) {
	m := NewMasker("secret", "***x")
	for _, length := range []int{1_000, 10_000} {
		text := "secret" + strings.Repeat("x", length)
		b.Run(fmt.Sprintf("%d bytes", length), func(b *testing.B) {
			for b.Loop() {
				_ = m.String(text)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*length), "ns/byte")
		})
	}
}

// BenchmarkMaskerAdd hides a file of 200 lines.
func BenchmarkMaskerAdd(b *testing.B) {
	file := strings.Repeat("a line of a key, such as there are\n", 100)
	for i := range 100 {
		file += fmt.Sprintf("line %d of a key\n", i)
	}
	for b.Loop() {
		NewMasker(file)
	}
}
