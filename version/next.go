package version

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-ci/slipway/deploy"
)

// Next is the version of the commit by a rule. Whatever the rule, it is the
// tag's where one is at the commit and nothing has been changed since; only
// where exact versions are made, a pre-release's tag is not the last word.
//
// Without Commits it is that of Version. With Commits, the number is what the
// weightiest commit since Stable asks for: a breaking change the next major, a
// feature the next minor, everything else the next patch. In 0.x a breaking
// change is the next minor as well, so that 1.0.0 is a decision. It is never
// below what a pre-release on the way has announced. Behind the number comes,
// by the channel of the branch,
//
//   - nothing where it is deploy.Stable and there is something to release: 1.5.0
//   - its name with how many commits there are since Stable: 1.5.0-beta.3
//   - otherwise, and of changed files, what Version has: 1.5.0-main.17.g1a2b3c4
//
// The last is another one for each commit. So is the second on one branch that
// is never rewritten. The first is the same for all commits up to the next
// release, and has to be known as released by then: see Read.
func (s Source) Next(rule deploy.Versioning) (string, error) {
	channel := ""
	if rule.Commits {
		channel = rule.Channels[s.Branch]
	}
	if s.Tag != "" && !s.Dirty && (channel != deploy.Stable || Stable(strings.TrimPrefix(s.Tag, "v"))) {
		return Parse(s.Tag)
	}
	switch {
	case !rule.Commits:
		return s.distinct(s.core(), s.Distance, s.Unknown)
	case s.StableUnknown != nil:
		return "", s.StableUnknown
	}
	number := s.number()
	switch {
	case s.Dirty, channel == "", channel == deploy.Stable && s.Change == NoChange && !s.announced(number):
		front, distance := s.front(number)
		return s.distinct(front, distance, nil)
	case channel == deploy.Stable:
		return number.String(), nil
	}
	return fmt.Sprintf("%s-%s.%d", number, channel, s.count(number, channel)), nil
}

// number is the core of the next version by commits.
func (s Source) number() *semver.Version {
	next := after(s.Stable, s.Change)
	if s.Base != nil && s.Base.Prerelease() != "" {
		if announced := coreOf(s.Base); announced.GreaterThan(next) {
			return announced
		}
	}
	return next
}

// announced reports whether a pre-release has led to the number already.
func (s Source) announced(number *semver.Version) bool {
	return s.Base != nil && s.Base.Prerelease() != "" && coreOf(s.Base).Equal(number)
}

// after is what follows a version; nil is no version yet.
func after(v *semver.Version, change Change) *semver.Version {
	switch {
	case v == nil:
		return semver.New(0, 1, 0, "", "")
	case change == Breaking && v.Major() > 0:
		return semver.New(v.Major()+1, 0, 0, "", "")
	case change >= Feature:
		return semver.New(v.Major(), v.Minor()+1, 0, "", "")
	}
	return semver.New(v.Major(), v.Minor(), v.Patch()+1, "", "")
}

func coreOf(v *semver.Version) *semver.Version {
	return semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
}

// front is what a version of its own for each commit begins with, and from
// where its commits are counted: a pre-release on the way to this very number
// stays below it, so that the version after it is above.
func (s Source) front(number *semver.Version) (string, int) {
	if s.announced(number) {
		return s.core(), s.Distance
	}
	return number.String() + "-", s.Since
}

// count is the number of a pre-release of a channel. It goes on from a tag of
// the same channel, which somebody may have numbered otherwise.
func (s Source) count(number *semver.Version, channel string) int {
	if !s.announced(number) {
		return s.Since
	}
	digits, same := strings.CutPrefix(s.Base.Prerelease(), channel+".")
	last, err := strconv.Atoi(digits)
	if !same || err != nil || last > maxCommits {
		return s.Since
	}
	return max(s.Since, last+s.Distance)
}
