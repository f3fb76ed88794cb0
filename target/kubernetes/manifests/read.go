package manifests

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests/documents"
)

// largest is how large a file of manifests may be, in bytes.
const largest = 16 << 20

// files reads a file, or all files below a folder that end in .yaml, .yml or
// .json, in the order of their names. Hidden files and folders are left out. A
// link that leads out of the folder is an error.
func files(path string) ([]*unstructured.Unstructured, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, deploy.Usage("name a file or folder that is there", "read manifests: %w", err)
	}
	dir, name := path, "."
	if !info.IsDir() {
		dir, name = filepath.Split(path)
		dir = filepath.Clean(dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	defer func() { _ = root.Close() }()
	var all []*unstructured.Unstructured
	err = fs.WalkDir(root.FS(), name, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && at != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir(), at != name && (!manifest(at) || strings.HasPrefix(entry.Name(), ".")):
			return nil
		}
		objects, err := file(root, at, filepath.Join(dir, at))
		all = append(all, objects...)
		return err
	})
	if err != nil && !deploy.IsUsage(err) {
		err = fmt.Errorf("read manifests: %w", err)
	}
	return all, err
}

func manifest(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func file(root *os.Root, at, shown string) ([]*unstructured.Unstructured, error) {
	if isKustomization(filepath.Base(at)) {
		return nil, deploy.Usage("name the folder as a Kustomization", "%s makes its folder a Kustomization", shown)
	}
	info, err := root.Stat(at)
	if err != nil {
		return nil, err
	}
	if info.Size() > largest {
		return nil, deploy.Usage("divide it", "%s has %d bytes, more than the %d that a file of manifests may have", shown, info.Size(), largest)
	}
	data, err := root.ReadFile(at)
	if err != nil {
		return nil, err
	}
	return documents.Read(shown, data)
}
