package version

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// maxLength is what an image tag may have.
	maxLength = 128
	// maxTagLength leaves room behind a tag for what Source.Version appends.
	maxTagLength = 80
	// maxNumber is the largest number that every tool reads without loss: it
	// fits into a double.
	maxNumber = 1<<53 - 1
)

const examples = "a version has three numbers and may have a pre-release and build metadata: 1.4.2, v1.4.2, 1.5.0-rc.1, 1.4.2+build.5"

var (
	partial      = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	leadingZeros = regexp.MustCompile(`(^|[.-])0+[0-9]+([.-]|$)`)
)

// Parse reads an explicit version, with or without a leading v: both "1.4.2"
// and "v1.4.2" are 1.4.2. Build metadata is kept: deploy.TagOf says how a
// registry takes it. What is not a full semantic version that an image tag can
// hold (at most 128 characters, numbers up to 2^53-1) is a deploy.Usage error
// that shows valid ones.
func Parse(input string) (string, error) {
	v, err := parse(input)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

func parse(input string) (*semver.Version, error) {
	text := strings.TrimPrefix(input, "v")
	if len(text) > maxLength {
		return nil, deploy.Usage("shorten its pre-release; "+examples,
			"version %q has %d characters, an image tag holds %d", text[:20]+"…", len(text), maxLength)
	}
	v, err := semver.StrictNewVersion(text)
	if err != nil {
		return nil, deploy.Usage(hint(text), "%q is not a semantic version", input)
	}
	if v.Major() > maxNumber || v.Minor() > maxNumber || v.Patch() > maxNumber {
		return nil, deploy.Usage(examples, "version %q has a number above %d", input, uint64(maxNumber))
	}
	return v, nil
}

// hint names what is most likely meant.
func hint(text string) string {
	switch {
	case text == "":
		return examples
	case partial.MatchString(text):
		return fmt.Sprintf("write all three numbers, such as %s; %s", completed(text), examples)
	case leadingZeros.MatchString(text):
		return "numbers have no leading zeros; " + examples
	default:
		return examples
	}
}

func completed(text string) string {
	if strings.Contains(text, ".") {
		return text + ".0"
	}
	return text + ".0.0"
}

// FromRef is the version that a git ref of a tag names: 1.4.2 for
// refs/tags/v1.4.2. Any other ref (a branch, a tag of something else such as
// refs/tags/other/v1, a moving tag such as refs/tags/v1) names none.
func FromRef(ref string) (string, bool) {
	tag, isTag := strings.CutPrefix(ref, "refs/tags/")
	if !isTag {
		return "", false
	}
	v, ok := fromTag(tag)
	if !ok {
		return "", false
	}
	return v.String(), true
}

// fromTag is the version that a tag's name is, if it is one.
func fromTag(tag string) (*semver.Version, bool) {
	if len(tag) > maxTagLength {
		return nil, false
	}
	v, err := parse(tag)
	return v, err == nil
}
