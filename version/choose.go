package version

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-ci/slipway/deploy"
)

// The words that name a version without its number.
const (
	// Latest is the highest version that is no pre-release.
	Latest = "latest"
	// Previous is what was live before.
	Previous = "previous"
)

// ParseWanted reads what somebody asks for: a version ("1.4.2"), a constraint
// that several may meet ("~1.4", ">=1.2 <2"), Latest or Previous. It returns a
// version in its plain form, the others as they are, and a usage error for
// everything else.
func ParseWanted(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == Latest || s == Previous {
		return s, nil
	}
	if v, err := Parse(s); err == nil {
		return v, nil
	}
	if _, err := semver.NewConstraint(s); err != nil {
		return "", deploy.Usage("use a version such as 1.4.2, a constraint such as ~1.4, latest, or previous", "%q names no version", s)
	}
	return s, nil
}

// Exact reports whether what somebody asks for is one version by its number.
func Exact(wanted string) bool {
	_, err := Parse(wanted)
	return err == nil
}

// Choose is the highest of the versions, in the order of Compare, that meets
// what is wanted, a constraint or Latest. Names that are no versions do not
// count; pre-releases count only where the constraint names one. It is an error
// that lists what there is, the highest first, where none does.
func Choose(wanted string, from []string) (string, error) {
	constraint := wanted
	if wanted == Latest {
		constraint = "*"
	}
	meets, err := semver.NewConstraint(constraint)
	if err != nil {
		return "", deploy.Usage("use a version such as 1.4.2, a constraint such as ~1.4, or latest", "%q names no version", wanted)
	}
	all := sorted(from)
	for _, v := range all {
		if meets.Check(v) {
			return v.String(), nil
		}
	}
	return "", deploy.Hinted(fmt.Errorf("no version meets %q", wanted), "there is %s", some(all))
}

// sorted are the names that are versions, the highest first.
func sorted(names []string) []*semver.Version {
	var all []*semver.Version
	for _, name := range names {
		if v, err := semver.StrictNewVersion(name); err == nil {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b *semver.Version) int { return compare(b, a) })
	return all
}

// some names a few of many.
func some(all []*semver.Version) string {
	const few = 5
	if len(all) == 0 {
		return "none yet"
	}
	var names []string
	for _, v := range all[:min(few, len(all))] {
		names = append(names, v.String())
	}
	text := strings.Join(names, ", ")
	if len(all) > few {
		text += fmt.Sprintf(" and %d more", len(all)-few)
	}
	return text
}
