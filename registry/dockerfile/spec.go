package dockerfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Spec says what is to be built.
type Spec struct {
	deploy.Dockerfile
	// Dir is the folder that the paths are relative to.
	Dir string
	// Platforms such as linux/arm64; empty is the builder's own.
	Platforms []string
	// Labels are written into the image's configuration, and as annotations
	// into its manifest.
	Labels map[string]string
	// Created is the time of the image and the newest that anything in it may
	// have: the commit's, so that the same commit is the same image.
	Created time.Time
	// Values are those of the secrets, by their names.
	Values map[string]string
	// Version and Revision are build arguments, besides.
	Version, Revision string
}

// The build arguments that every build is given. A Dockerfile that does not ask
// for one is not changed by it.
const (
	argVersion  = "SLIPWAY_VERSION"
	argRevision = "SLIPWAY_REVISION"
	argEpoch    = "SOURCE_DATE_EPOCH"
)

// Check refuses files that are not there. It needs no builder.
func (s Spec) Check() error {
	if err := s.exists(s.Path, "build.dockerfile", false); err != nil {
		return err
	}
	return s.exists(s.Context, "build.context", true)
}

// check refuses what is wrong whatever the builder is.
func (s Spec) check() error {
	if err := s.Check(); err != nil {
		return err
	}
	for _, name := range s.Secrets {
		if s.Values[name] == "" {
			return deploy.Usage("set it in the environment: in a workflow with env: {"+name+": ${{ secrets."+name+" }}}",
				"the secret %s of the build has no value", name)
		}
	}
	return nil
}

func (s Spec) exists(path, key string, folder bool) error {
	info, err := os.Stat(filepath.Join(s.Dir, path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return deploy.Usage("correct "+key, "%s: there is no %s in %s", key, path, s.Dir)
	case err != nil:
		return deploy.Usage("make it readable", "%s: %w", key, err)
	case folder != info.IsDir():
		return deploy.Usage("correct "+key, "%s: %s is %s", key, path, map[bool]string{true: "a folder", false: "no folder"}[info.IsDir()])
	}
	return nil
}

// secrets are the content of all secrets, by id.
func (s Spec) secrets() (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, name := range s.Secrets {
		all[name] = []byte(s.Values[name])
	}
	for _, id := range slices.Sorted(maps.Keys(s.SecretFiles)) {
		content, err := ReadSecret(s.Dir, id, s.SecretFiles[id])
		if err != nil {
			return nil, err
		}
		all[id] = content
	}
	return all, nil
}

// maxSecret is the largest secret that BuildKit takes, in bytes.
const maxSecret = 500 << 10

// ReadSecret reads the content of a secret from a file of a folder.
func ReadSecret(dir, id, path string) ([]byte, error) {
	name := "build.secret-files." + id
	info, err := os.Stat(filepath.Join(dir, path))
	if err != nil {
		return nil, deploy.Usage("write the file before the build", "%s: %w", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return nil, deploy.Usage(fmt.Sprintf("name a file of at most %d bytes", maxSecret), "%s: %s is no such file", name, path)
	}
	content, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return nil, deploy.Usage("make it readable", "%s: %w", name, err)
	}
	return content, nil
}

// attributes are what the Dockerfile frontend is asked for.
func (s Spec) attributes() map[string]string {
	all := map[string]string{
		"filename":                 filepath.Base(s.Path),
		"build-arg:" + argEpoch:    strconv.FormatInt(s.Created.Unix(), 10),
		"build-arg:" + argVersion:  s.Version,
		"build-arg:" + argRevision: s.Revision,
	}
	if s.Target != "" {
		all["target"] = s.Target
	}
	if len(s.Platforms) > 0 {
		all["platform"] = strings.Join(s.Platforms, ",")
	}
	for key, value := range s.Args {
		all["build-arg:"+key] = value
	}
	for key, value := range s.Labels {
		all["label:"+key] = value
	}
	return all
}
