package registry

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// Packed is an image made by Pack. It knows its configuration, and with it what
// its content is, from the beginning; its layers are compressed when its
// digest, its manifest or a compressed layer is first asked for. Its files must
// not change until then, and are found out if they do.
type Packed struct {
	assembled

	// base is what the image is built on, nil for scratch.
	base  *baseImage
	own   []*layer
	root  *os.Root
	abort context.CancelFunc

	closing sync.Once
	closed  error
}

var _ v1.Image = (*Packed)(nil)

// Close removes temporary files and ends what is still being read. The image
// must not be used afterwards. Closing it again is fine.
func (p *Packed) Close() error {
	p.closing.Do(func() {
		p.abort()
		errs := []error{p.root.Close()}
		for _, l := range p.own {
			errs = append(errs, l.close())
		}
		p.closed = errors.Join(errs...)
	})
	return p.closed
}

// Layers are those of the base, and then those of the build, at least one for
// each of its entries; lowest first.
func (p *Packed) Layers() ([]v1.Layer, error) {
	layers := p.base.layers()
	for _, l := range p.own {
		layers = append(layers, l)
	}
	return layers, nil
}

// largestFirst are the own layers in the order in which they are sent: what
// takes longest does not come last.
func (p *Packed) largestFirst() []*layer {
	return slices.SortedStableFunc(slices.Values(p.own), func(a, b *layer) int { return cmp.Compare(b.size, a.size) })
}

// identify computes what the own layers are, a few at a time.
func (p *Packed) identify() error {
	return p.each(runtime.GOMAXPROCS(0), func(l *layer) error { return l.identify() })
}

// each does something with all own layers, some at a time.
func (p *Packed) each(some int, f func(*layer) error) error {
	var g errgroup.Group
	g.SetLimit(some)
	for _, l := range p.own {
		g.Go(func() error { return f(l) })
	}
	return g.Wait()
}

// stored is what is stored of the base's layers, and then of the own ones.
func (p *Packed) stored() ([]v1.Descriptor, error) {
	err := p.each(compressing, func(l *layer) error {
		_, err := l.descriptor()
		return err
	})
	if err != nil {
		return nil, err
	}
	all := p.base.descriptors()
	for _, l := range p.own {
		stored, err := l.descriptor()
		if err != nil {
			return nil, err
		}
		all = append(all, stored)
	}
	return all, nil
}

// Artifact is the image itself.
func (p *Packed) Artifact() Artifact { return p }
