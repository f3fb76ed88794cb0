package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/deploy"
)

// names are where a configuration may lie, relative to the folder searched.
var names = []string{
	"slipway.yaml",
	"slipway.yml",
	filepath.Join(".github", "slipway.yaml"),
	filepath.Join(".github", "slipway.yml"),
}

// Find is the path of the configuration in a folder: slipway.yaml or
// slipway.yml there, or in its .github. Two at once are refused, because one
// of them would be ignored; so is none. Both are usage errors.
func Find(dir string) (string, error) {
	var found []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		switch {
		case err == nil:
			found = append(found, path)
		case !errors.Is(err, fs.ErrNotExist):
			return "", deploy.Usage("make it readable, or name the file with --config", "look for slipway.yaml: %w", err)
		}
	}
	switch len(found) {
	case 0:
		return "", deploy.Usage(
			"`slipway init` writes a first one; --config names one that lies elsewhere",
			"no slipway.yaml in %s or %s", dir, filepath.Join(dir, ".github"))
	case 1:
		return found[0], nil
	}
	return "", deploy.Usage("keep one of them, or name it with --config",
		"two configurations: %s and %s", found[0], found[1])
}
