package deploy

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// App is what one slipway.yaml describes: a program, how its image is made,
// and the environments it is brought to.
type App struct {
	// Name is a DNS label: 1 to 63 characters of a-z, 0-9 and '-'.
	Name string
	// ReleasedFrom are other repositories on GitHub that release the app, or have
	// released it before it moved, each as owner/name.
	ReleasedFrom []string
	// Repository is where the image goes, such as ghcr.io/acme/hello. Empty
	// means the registry that the sandbox holds.
	Repository string
	// Login is how that registry is logged in to where no password is kept; nil
	// leaves it to what docker login left.
	Login *Login
	// Versioning is how the version of a commit without a tag is worked out.
	Versioning Versioning
	// Tags are those that move with releases, the narrowest first; none where
	// it is empty.
	Tags  []FloatingTag
	Build Build
	// Environments are in the order in which a release walks them: each one
	// after the one that it names in After.
	Environments []Environment
	// Preview is what the environments of pull requests are made from; nil
	// where they get none. A release does not walk it.
	Preview *Preview
	// Mirrors are where base images of a registry are read first, by the
	// registry's name.
	Mirrors map[string]string
	// Prune is the rule by which old images are removed; nil removes none unless
	// somebody asks for it.
	Prune *Prune
}

// Environment finds an environment by its name.
func (a App) Environment(name string) (Environment, bool) {
	for _, e := range a.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// Versioning says how a version comes out of commits. Its zero value makes the
// next patch as a pre-release of each commit.
type Versioning struct {
	// Commits: what comes next is what the Conventional Commits since the last
	// version say, in place of the next patch.
	Commits bool
	// Channels are by branch: Stable, whose commits get exact versions, or what
	// the branch's pre-releases are called, such as beta. They need Commits.
	Channels map[string]string
}

// Stable is the channel of exact versions.
const Stable = "stable"

// FloatingTag is a tag that follows the highest stable version of its kind.
type FloatingTag string

// The tags that move.
const (
	// TagMinor is 1.4 for 1.4.2.
	TagMinor FloatingTag = "minor"
	// TagMajor is 1 for 1.4.2. Versions 0.x have none: any of them may break
	// what the one before promised.
	TagMajor FloatingTag = "major"
	// TagLatest is latest.
	TagLatest FloatingTag = "latest"
)

// FloatingTags are all of them, the narrowest first.
var FloatingTags = []FloatingTag{TagMinor, TagMajor, TagLatest}

// Login opens the registry of an image with a password that is got for the
// OIDC token of the job, by OAuth 2.0 Token Exchange (RFC 8693).
type Login struct {
	// Exchange is the https address where the token is exchanged; http is for
	// this machine alone.
	Exchange string
	// Audience is whom the token is issued for, and what the exchange is asked
	// for.
	Audience string
	// User is the user name that goes with the password.
	User string
	// Scope is what the password shall allow, separated by spaces; may be empty.
	Scope string
}

// DefaultLoginUser is the name under which Google's registries take an access
// token as a password.
// Source: https://docs.cloud.google.com/artifact-registry/docs/docker/authentication
const DefaultLoginUser = "oauth2accesstoken"

// Build says where an image comes from: it is packed of files, unless one of
// Dockerfile, Image and Archive says otherwise.
type Build struct {
	// Base is the image to build on; empty means from scratch.
	Base string
	// Files are copied into the image in the order given.
	Files []File
	// Entrypoint is the command that the image runs. Empty keeps the base's.
	Entrypoint []string
	// Platform is "os/architecture" such as linux/amd64. Empty means linux on
	// the architecture of this machine.
	Platform string
	// Dockerfile has BuildKit build the image; nil where it does not.
	Dockerfile *Dockerfile
	// Image is the reference, with tag or digest, of an image that was built
	// elsewhere and is in a registry; Archive is the path of one on disk,
	// relative to the folder of slipway.yaml: an OCI layout, or what docker save
	// has written.
	Image, Archive string
	// Platforms are those that a Dockerfile is built for, and those that Image
	// or Archive have to have. Empty means the builder's own, or any.
	Platforms []string
}

// Dockerfile is a build by BuildKit.
type Dockerfile struct {
	// Path is that of the Dockerfile, Context the folder that it copies from,
	// both relative to the folder of slipway.yaml.
	Path, Context string
	// Target is the stage to build; empty is the last one.
	Target string
	// Args are the build arguments.
	Args map[string]string
	// Secrets name environment variables, each of them a secret by that id.
	Secrets []string
	// SecretFiles are secrets that are the content of a file, by id.
	SecretFiles map[string]string
	// CacheFrom and CacheTo are references in registries where the results of
	// steps are looked for and kept.
	CacheFrom []string
	CacheTo   string
	// Builder is the address of a BuildKit: tcp://, unix:// or
	// docker-container://. Empty means that one is looked for.
	Builder string
}

// File is a file, or a folder with all that is in it, that goes into an image.
type File struct {
	// From is a path on this machine, relative to the folder of slipway.yaml.
	From string
	// To is an absolute path in the image.
	To string
	// Mode overrides the permission bits of a file (not of folders). Zero
	// means 0755 for what its owner may execute and 0644 for the rest, so
	// that neither umask nor user changes the digest.
	Mode fs.FileMode
	// UID and GID own it in the image.
	UID, GID int
}

// Environment is one place that an app runs in: what it runs with there, and
// how a new version gets its users.
type Environment struct {
	Name string
	// Target names the kind of driver, such as "sandbox".
	Target TargetSpec
	// After names the environment that a version has to pass first.
	After string
	// Repository is where this environment pulls from, if it is another one than
	// the app's: the image is copied there first. Empty is the app's.
	Repository string
	Service    Service
	Checks     []Check
	// Tasks are what is done once around each deployment.
	Tasks    Tasks `json:",omitzero"`
	Strategy Strategy
}

// TargetSpec names a driver and what it needs to know.
type TargetSpec struct {
	// Kind is the driver's name.
	Kind string
	// Port is the port of the environment's stable URL (1 to 65535); zero
	// lets the target choose one and keep it. Only the sandbox heeds it.
	Port int
	// Cluster is for the kind "kubernetes" alone.
	Cluster Cluster `json:",omitzero"`
}

// Service is what a version runs with: the configuration half of a Revision.
type Service struct {
	// Port is what the app listens on where each replica has a network of its
	// own. In every case the environment variable PORT tells the app its port.
	Port int
	// Health is the path that answers 2xx or 3xx once a replica can serve.
	// Empty means that an accepted connection is enough.
	Health string
	// Replicas is how many copies run; at least 1.
	Replicas int
	// Env is given to the app as it stands.
	Env map[string]string
	// Secrets name environment variables whose values never leave memory but
	// for the target that runs them.
	Secrets []string
	// StartTimeout bounds the time until every replica is ready.
	StartTimeout time.Duration
	// Drain bounds the time that requests under way get to finish before a
	// replica is ended.
	Drain time.Duration
}

// Defaults of a Service, used where slipway.yaml is silent.
const (
	DefaultPort         = 8080
	DefaultReplicas     = 1
	DefaultStartTimeout = 60 * time.Second
	DefaultDrain        = 10 * time.Second
)

// Preview is the pattern of the environments that pull requests get, each one
// of its own.
type Preview struct {
	Environment Environment
	// TTL is how long a preview stays after its last deployment.
	TTL time.Duration
	// Limit is how many there may be at once, 1 at least; the one that was
	// deployed to longest ago makes room.
	Limit int
}

// Defaults of a Preview.
const (
	DefaultPreviewTTL   = 72 * time.Hour
	DefaultPreviewLimit = 10
)

// PreviewName is the name of the environment under which slipway.yaml keeps the
// pattern. It is no place that a version is released to.
const PreviewName = "preview"

// For is the environment of a pull request: pr-12.
func (p Preview) For(number int) Environment {
	e := p.Environment
	e.Name = fmt.Sprintf("pr-%d", number)
	return e
}

// PullRequestOf is the number of the pull request that an environment belongs
// to, and whether it belongs to one.
func PullRequestOf(environment string) (int, bool) {
	digits, ok := strings.CutPrefix(environment, "pr-")
	if !ok {
		return 0, false
	}
	number, err := strconv.Atoi(digits)
	return number, err == nil && number > 0 && strconv.Itoa(number) == digits
}
