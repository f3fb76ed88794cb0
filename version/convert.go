package version

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// differsBeyondConversion forgives what git itself changes on the way between
// the repository and the working tree: line endings, and large files that are
// stored elsewhere.
func (t *workTree) differsBeyondConversion(path string, info fs.FileInfo, e *index.Entry) (bool, error) {
	large, err := isLargeFile(path, info.Size(), e.Hash)
	if err != nil || large {
		return false, err
	}
	if info.Size() > maxConverted || !t.convertsLines(e.Name) {
		return true, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	unix := bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	return plumbing.ComputeHash(plumbing.BlobObject, unix) != e.Hash, nil
}

// isLargeFile reports whether a blob is what Git LFS stores in place of a file.
// The form of that is from its specification, docs/spec.md in git-lfs/git-lfs.
func isLargeFile(path string, size int64, blob plumbing.Hash) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false, err
	}
	pointer := fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%x\nsize %d\n", sum.Sum(nil), size)
	return plumbing.ComputeHash(plumbing.BlobObject, pointer) == blob, nil
}

// maxConverted is the largest file that is looked at for line endings.
const maxConverted = 16 << 20

// convertsLines reports whether git may write a file with other line endings
// than it has in the repository: by configuration, or by attributes. Which files
// those are about is not looked at. At worst, a file of which nothing but line
// endings was changed counts as unchanged.
func (t *workTree) convertsLines(name string) bool {
	switch t.config.Raw.Section("core").Option("autocrlf") {
	case "true", "input":
		return true
	}
	for dir := filepath.FromSlash(name); dir != "."; {
		dir = filepath.Dir(dir)
		if speaksOfLines(filepath.Join(t.work, dir, ".gitattributes")) {
			return true
		}
	}
	return false
}

// speaksOfLines looks for the attributes text and eol.
func speaksOfLines(attributes string) bool {
	content, err := os.ReadFile(attributes)
	return err == nil && (bytes.Contains(content, []byte("text")) || bytes.Contains(content, []byte("eol=")))
}
