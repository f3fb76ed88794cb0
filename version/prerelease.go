package version

import "github.com/Masterminds/semver/v3"

// Prerelease reports whether a name is a version that is a pre-release.
func Prerelease(name string) bool {
	v, err := semver.StrictNewVersion(name)
	return err == nil && v.Prerelease() != ""
}
