package version

import (
	"fmt"
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

// Choose is the highest of the versions that meets what is wanted, a constraint
// or Latest. Names that are no versions do not count; pre-releases count only
// where the constraint names one. It is an error that lists what there is where
// none does.
func Choose(wanted string, from []string) (string, error) {
	constraint := wanted
	if wanted == Latest {
		constraint = "*"
	}
	meets, err := semver.NewConstraint(constraint)
	if err != nil {
		return "", deploy.Usage("use a version such as 1.4.2, a constraint such as ~1.4, or latest", "%q names no version", wanted)
	}
	var best *semver.Version
	for _, name := range from {
		v, err := semver.StrictNewVersion(name)
		if err == nil && meets.Check(v) && (best == nil || v.GreaterThan(best)) {
			best = v
		}
	}
	if best == nil {
		return "", deploy.Hinted(fmt.Errorf("no version meets %q", wanted), "there is %s", some(from))
	}
	return best.String(), nil
}

// some names a few of many.
func some(names []string) string {
	const few = 5
	if len(names) == 0 {
		return "none yet"
	}
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
