package version

import (
	"cmp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Compare orders two versions: below 0 where a is lower, above 0 where it is
// higher, 0 only where they are the same. A name that is no version is lower
// than all versions.
//
// The order is that of semantic versions. To these, versions that differ in
// build metadata alone are equal; something has to be chosen among them all the
// same, always the same, whoever looks. So metadata goes by its identifiers, as
// a pre-release does: build.10 comes after build.9, and none before any.
func Compare(a, b string) int {
	x, errX := semver.StrictNewVersion(a)
	y, errY := semver.StrictNewVersion(b)
	switch {
	case errX != nil && errY != nil:
		return strings.Compare(a, b)
	case errX != nil:
		return -1
	case errY != nil:
		return 1
	}
	return compare(x, y)
}

func compare(a, b *semver.Version) int {
	if c := a.Compare(b); c != 0 {
		return c
	}
	return compareMetadata(a.Metadata(), b.Metadata())
}

func compareMetadata(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(a), len(b))
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if c := compareIdentifiers(x[i], y[i]); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(len(x), len(y)); c != 0 {
		return c
	}
	return strings.Compare(a, b) // 05 and 5, which metadata may both have
}

// compareIdentifiers puts numbers before words, and numbers by their size
// however long they are: semver 2.0.0, 11.4.
func compareIdentifiers(a, b string) int {
	numberA, numberB := numeric.MatchString(a), numeric.MatchString(b)
	switch {
	case numberA && numberB:
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if c := cmp.Compare(len(a), len(b)); c != 0 {
			return c
		}
	case numberA:
		return -1
	case numberB:
		return 1
	}
	return strings.Compare(a, b)
}

// Stable reports whether a name is a version that is no pre-release.
func Stable(name string) bool {
	v, err := semver.StrictNewVersion(name)
	return err == nil && v.Prerelease() == ""
}
