package process

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Permissions of everybody.
const (
	mayRead    fs.FileMode = 0o004
	mayExecute fs.FileMode = 0o001
)

// allowed refuses an image that root could run and the ordinary user who runs
// it with Chroot cannot: the kernel would not say which file is in the way. A
// file that is not there, or not executable at all, is for others to explain.
func allowed(dir, path string) error {
	what, helper := needs(path)
	program := mayExecute
	if what == forScripts {
		program |= mayRead // its interpreter opens it
	}
	for _, file := range []struct {
		path string
		need fs.FileMode
	}{{dir, mayExecute}, {path, program}, {helper, mayExecute}} {
		if file.path == "" {
			continue
		}
		if at, info := barrier(file.path, file.need); info != nil {
			return unusable("let everybody read and execute it (chmod a+rx, or mode: 0755 in build.files): where namespaces cannot be had, replicas run as an ordinary user",
				"%s: an ordinary user may not use %s (its mode is %04o)", file.path, at, info.Mode().Perm())
		}
	}
	return nil
}

// barrier is the first on the way to a file that keeps an ordinary user from
// using it as needed; its info is nil if none does.
func barrier(path string, need fs.FileMode) (string, fs.FileInfo) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", nil
	}
	for _, way := range []string{path, real} {
		for at := filepath.Dir(way); ; at = filepath.Dir(at) {
			info, err := os.Stat(at)
			if err == nil && info.Mode()&mayExecute == 0 {
				return at, info
			}
			if at == "/" || at == "." {
				break
			}
		}
	}
	info, err := os.Stat(real)
	if err != nil || info.Mode()&0o111 == 0 || info.Mode()&need == need {
		return "", nil
	}
	return real, info
}
