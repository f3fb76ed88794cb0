package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/flate"
)

const (
	// sample is how much of a content is looked at, in bytes, in each sampling,
	// of which there are a few at most.
	sample, sampling, samplings = 16 << 10, 1 << 20, 32
	// worthwhile is how much of the samples has to go, as one of so many parts;
	// and obvious how much of the first few of them, so that the others need not
	// be tried.
	worthwhile, obvious, few = 20, 4, 3
)

// shrinks reports whether compressing saves a twentieth of the content at least.
// It tries what lies at the beginning of every megabyte, of large layers that of
// every 32nd part, and nothing of less than a megabyte.
func (l *layer) shrinks(ctx context.Context) (bool, error) {
	if l.size < sampling { // even the archive's own frame is worth it
		return true, nil
	}
	s, err := newSampler(l.root, max(sampling, l.size/samplings))
	if err != nil {
		return false, err
	}
	defer s.files.close()
	for _, it := range l.items {
		if ctx.Err() != nil {
			return false, interruption(ctx)
		}
		if err := s.look(it); err != nil {
			return false, err
		}
		if s.in >= few*sample && s.saves(obvious) {
			return true, nil
		}
	}
	return s.in == 0 || s.saves(worthwhile), nil
}

// saves reports whether one of so many parts has gone.
func (s *sampler) saves(part int64) bool { return s.out < s.in-s.in/part }

// sampler compresses parts of what it looks at.
type sampler struct {
	files  opener
	buffer []byte
	// by are the ways to become smaller: by what is there twice, and by how often
	// each byte is there. The fast levels try one of them alone.
	by [2]*flate.Writer
	// in and out are how much went in and what is left of it, in bytes.
	in, out int64
	// every is how far samples are apart, passed how much of that is over, in
	// bytes.
	every, passed int64
}

func newSampler(root *os.Root, every int64) (*sampler, error) {
	s := &sampler{files: opener{root: root}, buffer: make([]byte, sample), every: every}
	for i, level := range []int{flate.BestSpeed, flate.HuffmanOnly} {
		w, err := flate.NewWriter(io.Discard, level)
		if err != nil {
			return nil, err
		}
		s.by[i] = w
	}
	return s, nil
}

// look samples a file wherever that is due, counting from the
// beginning of the layer.
func (s *sampler) look(it item) error {
	at := (s.every - s.passed) % s.every
	s.passed = (s.passed + it.size) % s.every
	if it.kind != file || at >= it.size {
		return nil
	}
	f, err := s.files.open(it.source)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for ; at < it.size; at += s.every {
		n, err := f.ReadAt(s.buffer[:min(sample, it.size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("from %q: %w", it.source, err)
		}
		if err := s.try(s.buffer[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (s *sampler) try(content []byte) error {
	left := int64(len(content))
	s.in += left
	for _, w := range s.by {
		packed := &counter{w: io.Discard}
		w.Reset(packed)
		if _, err := w.Write(content); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		left = min(left, packed.n)
	}
	s.out += left
	return nil
}
