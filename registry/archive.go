package registry

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// archive writes items as a tar archive that depends on their content, names
// and executability alone.
type archive struct {
	root  *os.Root
	items []item
}

const bufferSize = 256 << 10

// epoch is the time of folders and links, and the earliest of files: later than
// what a ZIP archive can hold at least, and not zero, which some take for none.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	// stamps is how many times a file may have, a second apart: until 2014.
	stamps = 1 << 30
	// stamped is how much of a file decides its time, in bytes.
	stamped = 16 << 20
)

// stampOf is the time of a file with a content: always the same of the same
// one, and another of another, but for what is beyond its beginning. The time of the commit would make every layer
// another with every commit. One time for all would make files of the same size
// look the same: nginx and others tell by size and time whether a browser has
// the newest, and the first page of a web app hardly ever changes its size.
func stampOf(checksum uint32) time.Time {
	return epoch.Add(time.Duration(checksum%stamps) * time.Second)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (a archive) write(ctx context.Context, w io.Writer) error {
	buffered := bufio.NewWriterSize(w, bufferSize)
	t := &tape{Writer: tar.NewWriter(buffered), buffer: make([]byte, bufferSize), files: opener{root: a.root}}
	defer t.files.close()
	for i := range a.items {
		if ctx.Err() != nil {
			return interruption(ctx)
		}
		if err := t.item(ctx, &a.items[i]); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

// tape is an archive being written.
type tape struct {
	*tar.Writer
	files  opener
	buffer []byte
}

func (t *tape) item(ctx context.Context, it *item) error {
	if it.kind == file {
		return t.file(ctx, it)
	}
	return t.header(it)
}

// header leaves out user and group names and all times but one. Names that are
// long or not in ASCII become PAX records.
func (t *tape) header(it *item) error {
	h := &tar.Header{Name: it.path, Mode: it.mode, Uid: it.uid, Gid: it.gid, ModTime: epoch}
	switch it.kind {
	case folder:
		h.Typeflag, h.Name = tar.TypeDir, it.path+"/"
	case link:
		h.Typeflag, h.Linkname = tar.TypeSymlink, it.target
	case file:
		h.Typeflag, h.Size, h.ModTime = tar.TypeReg, it.size, it.stamp
	}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("%q in an archive: %w", it.path, err)
	}
	return nil
}

// file reads a file once if it fits into the buffer, and else a first time for
// the checksum that its header needs.
func (t *tape) file(ctx context.Context, it *item) error {
	f, err := t.files.open(it.source)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if it.size < int64(len(t.buffer)) {
		return t.small(f, it)
	}
	if it.stamp.IsZero() {
		checksum := crc32.New(castagnoli)
		if _, err := io.CopyBuffer(checksum, io.LimitReader(f, stamped), t.buffer); err != nil {
			return fmt.Errorf("from %q: %w", it.source, err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("from %q: %w", it.source, err)
		}
		it.stamp = stampOf(checksum.Sum32())
	}
	if err := t.header(it); err != nil {
		return err
	}
	return copyFile(ctx, t, f, it, t.buffer)
}

// small reads a file that fits into the buffer. What is read in one go, and is
// less than there was room for, is all of it: the end is not asked for.
func (t *tape) small(f *os.File, it *item) error {
	n := 0
	for int64(n) <= it.size {
		more, err := f.Read(t.buffer[n : it.size+1])
		n += more
		if errors.Is(err, io.EOF) || err == nil && int64(n) == it.size {
			break
		}
		if err != nil {
			return fmt.Errorf("from %q: %w", it.source, err)
		}
	}
	if int64(n) != it.size {
		return changed(it.source)
	}
	if it.stamp.IsZero() {
		it.stamp = stampOf(crc32.Checksum(t.buffer[:n], castagnoli))
	}
	if err := t.header(it); err != nil {
		return err
	}
	_, err := t.Write(t.buffer[:n])
	return err
}

// copyFile copies as many bytes as the file had when it was planned.
func copyFile(ctx context.Context, w io.Writer, f *os.File, it *item, buffer []byte) error {
	// One byte more than expected tells that the file has grown.
	n, err := io.CopyBuffer(w, &stoppable{ctx: ctx, r: io.LimitReader(f, it.size+1)}, buffer)
	switch {
	case errors.Is(err, tar.ErrWriteTooLong), err == nil && n != it.size:
		return changed(it.source)
	case err != nil && ctx.Err() != nil:
		return interruption(ctx)
	case err != nil:
		return fmt.Errorf("from %q: %w", it.source, err)
	}
	return nil
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

// Read implements io.Reader.
func (s *stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, interruption(s.ctx)
	}
	return s.r.Read(p)
}

// opener opens files of a folder. It keeps the folder of the last one open,
// since the next one mostly lies beside it.
type opener struct {
	root, dir *os.Root
	// at is where dir is.
	at string
}

func (o *opener) open(source string) (*os.File, error) {
	// Without waiting: a named pipe may be there by now.
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if dir := o.folder(filepath.Dir(source)); dir != nil {
		if f, err := dir.OpenFile(filepath.Base(source), flags, 0); err == nil {
			return f, nil
		}
	}
	// By its whole path: what is wrong with it is told of that.
	f, err := o.root.OpenFile(source, flags, 0)
	if err != nil {
		return nil, cannotRead(o.root, source, err)
	}
	return f, nil
}

// folder is nil for one that cannot be opened.
func (o *opener) folder(at string) *os.Root {
	if o.dir != nil && o.at == at {
		return o.dir
	}
	o.close()
	dir, err := o.root.OpenRoot(at)
	if err != nil {
		return nil
	}
	o.dir, o.at = dir, at
	return dir
}

func (o *opener) close() {
	if o.dir != nil {
		_ = o.dir.Close() // it was read from only
		o.dir = nil
	}
}
