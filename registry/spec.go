package registry

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// Spec says what an image is to be made of.
type Spec struct {
	// Build is the base, the files and the entrypoint.
	Build deploy.Build
	// Dir is the folder that Build.Files are relative to. They may not leave
	// it, neither by their path nor through a link.
	Dir string
	// Source is the address of the source code, Revision the commit, Version
	// the semver and Title the app's name: they become labels and annotations,
	// but for those that are empty.
	Source, Revision, Version, Title string
	// Created is the time of the image and of all that is in it, in whole
	// seconds: the time of the commit, so that building it again gives the same
	// digest. Zero is 1970.
	Created time.Time
}

func (s Spec) created() time.Time {
	if s.Created.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return s.Created.UTC().Truncate(time.Second)
}

// platform is what the image is for.
func (s Spec) platform() (v1.Platform, error) {
	if s.Build.Platform == "" {
		return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	return parsePlatform(s.Build.Platform)
}

// parsePlatform reads a platform such as linux/arm/v7.
func parsePlatform(platform string) (v1.Platform, error) {
	parts := strings.Split(platform, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return v1.Platform{}, badPlatform(platform)
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
			return v1.Platform{}, badPlatform(platform)
		}
	}
	p := v1.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func badPlatform(platform string) error {
	return deploy.Usage("write system and architecture: linux/amd64, linux/arm64, linux/arm/v7",
		"build.platform %q is not a platform", platform)
}

// validate refuses what is wrong whatever is on the disk.
func (s Spec) validate() error {
	if s.Build.Base == "" && len(s.Build.Files) == 0 {
		return deploy.Usage("name the files to put into it: files: [{from: bin/hello, to: /hello}]",
			"build.files is empty and there is no base: nothing would be in the image")
	}
	for i, f := range s.Build.Files {
		if err := validateFile(f); err != nil {
			return fmt.Errorf("%s: %w", entryName(i), err)
		}
	}
	return nil
}

func validateFile(f deploy.File) error {
	if err := validateFrom(f.From); err != nil {
		return err
	}
	if err := validateTo(f.To); err != nil {
		return err
	}
	if f.Mode&^fs.ModePerm != 0 {
		return deploy.Usage("write up to three octal digits: 0755", "mode %#o is more than permissions", uint32(f.Mode))
	}
	if f.UID < 0 || f.GID < 0 || f.UID > maxID || f.GID > maxID {
		return deploy.Usage(fmt.Sprintf("user and group are numbers from 0 to %d", maxID), "owner %d:%d is not valid", f.UID, f.GID)
	}
	return nil
}

// maxID is the highest user and group that a system without 64 bits knows.
const maxID = 1<<31 - 1

func validateFrom(from string) error {
	switch {
	case from == "":
		return deploy.Usage("name a file or a folder, relative to the folder of slipway.yaml", "from is empty")
	case strings.ContainsRune(from, 0):
		return deploy.Usage("remove it", "from %q has a NUL character", from)
	case filepath.IsAbs(from):
		return deploy.Usage("write it relative to the folder of slipway.yaml: bin/hello", "from %q is absolute", from)
	case !filepath.IsLocal(from):
		return deploy.Usage("move the file below the folder of slipway.yaml, or slipway.yaml above the file",
			"from %q leaves the folder of slipway.yaml", from)
	}
	return nil
}

func validateTo(to string) error {
	switch {
	case !strings.HasPrefix(to, "/"):
		return deploy.Usage("begin it with a slash: /"+to, "to %q is not absolute", to)
	case strings.ContainsRune(to, 0):
		return deploy.Usage("remove it", "to %q has a NUL character", to)
	case path.Clean(to) != to:
		return deploy.Usage("write "+path.Clean(to), "to %q is not a clean path", to)
	case len(to) > maxPath:
		return deploy.Usage(fmt.Sprintf("shorten it to %d bytes", maxPath), "to %q… is too long", to[:40])
	}
	for _, part := range strings.Split(to[1:], "/") {
		if err := validateName(part); err != nil {
			return fmt.Errorf("to %q: %w", to[:min(len(to), 80)], err)
		}
	}
	return nil
}

const (
	// maxPath and maxName are what Linux opens.
	maxPath = 4095
	maxName = 255
	// whiteout is how a layer says that a file below it is gone.
	whiteout = ".wh."
)

// validateName refuses what cannot be one part of a path in an image.
func validateName(part string) error {
	if len(part) > maxName {
		return deploy.Usage(fmt.Sprintf("shorten it to %d bytes", maxName), "the name %q… has %d bytes", part[:40], len(part))
	}
	if strings.HasPrefix(part, whiteout) {
		return deploy.Usage("rename it", "the name %q means in a layer that a file is deleted", part)
	}
	return nil
}

func entryName(i int) string { return fmt.Sprintf("build.files[%d]", i) }
