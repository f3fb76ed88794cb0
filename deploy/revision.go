package deploy

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Revision is all that decides how a version behaves: an image, its
// configuration, and the versions of its secrets. It is what is started,
// promoted and gone back to, as a whole.
type Revision struct {
	// ID is the hash of everything below: the same content is the same
	// revision. See NewRevision.
	ID  string `json:"id"`
	App string `json:"app"`
	// Environment is where it was made for; it is not part of the identity.
	Environment string `json:"environment"`
	Image       Image  `json:"image"`
	Config      Config `json:"config"`
	// Secrets are ordered by name. Where their values are missing (after a
	// read from a target), the target knows them by name and version.
	Secrets []Secret `json:"secrets,omitempty"`
}

// Config is what a revision runs with, in the form in which a target keeps it.
type Config struct {
	Port         int               `json:"port"`
	Health       string            `json:"health,omitempty"`
	Replicas     int               `json:"replicas"`
	Env          map[string]string `json:"env,omitempty"`
	StartTimeout time.Duration     `json:"startTimeout"`
	Drain        time.Duration     `json:"drain"`
	// Settings are what the target's driver is told besides; see Cluster.
	Settings map[string]string `json:"settings,omitempty"`
}

// NewRevision makes the revision of an image in an environment. The secrets
// need values; their order does not matter.
func NewRevision(app string, env Environment, image Image, secrets []Secret) Revision {
	s := env.Service
	r := Revision{
		App:         app,
		Environment: env.Name,
		Image:       image,
		Config: Config{
			Port: s.Port, Health: s.Health, Replicas: s.Replicas,
			Env: maps.Clone(s.Env), StartTimeout: s.StartTimeout, Drain: s.Drain,
			Settings: env.Target.Cluster.settings(),
		},
		Secrets: slices.SortedFunc(slices.Values(secrets), func(a, b Secret) int {
			return compare(a.Name, b.Name)
		}),
	}
	r.ID = r.identity()
	return r
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// identity hashes the content. JSON is a sound canonical form here: struct
// fields keep their order, map keys are sorted, and Secret prints no value.
// The repository is left out, so that a copy in another registry is the same
// revision; so is the version, a name for the same digest.
func (r Revision) identity() string {
	content, err := json.Marshal(struct {
		App     string
		Digest  string
		Config  Config
		Secrets []Secret
	}{r.App, r.Image.Digest, r.Config, r.Secrets})
	if err != nil { // no type above can fail to marshal
		panic(fmt.Sprintf("revision: %v", err)) //nolint:forbidigo // cannot happen, see above
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}

// baselineSuffix tells the ID of a baseline from that of the revision that it is.
const baselineSuffix = "-baseline"

// AsBaseline is the revision once more, to run beside itself in a number of
// replicas: the same image, configuration and secrets under an ID of its own.
func (r Revision) AsBaseline(replicas int) Revision {
	r.ID += baselineSuffix
	r.Config.Replicas = replicas
	return r
}

// IsBaseline reports whether the revision was made by AsBaseline.
func (r Revision) IsBaseline() bool { return strings.HasSuffix(r.ID, baselineSuffix) }

// IsBaselineOf reports whether the revision is the other one once more.
func (r Revision) IsBaselineOf(other Revision) bool { return r.ID == other.ID+baselineSuffix }

// IsZero reports whether there is no revision.
func (r Revision) IsZero() bool { return r.ID == "" }

// String names it for people: 1.4.2 (3f9c2a1b7d04).
func (r Revision) String() string {
	if r.IsZero() {
		return "nothing"
	}
	return fmt.Sprintf("%s (%s)", r.Image.Version, r.ID)
}

// Secret is a secret environment variable of one revision. It prints as name
// and version in every form (fmt, JSON, slog); only Reveal gives the value.
type Secret struct {
	Name string `json:"name"`
	// Version tells values apart without saying anything of them.
	Version string `json:"version"`
	value   string
}

// secretRounds makes guessing a weak value from its version slow, and costs
// about ten milliseconds a secret.
const secretRounds = 1 << 15

// NewSecret versions a value. The version is a salted, stretched hash: the
// same value in the same app and environment has the same version on every
// machine, and nothing can be read from it.
func NewSecret(app, environment, name, value string) Secret {
	salt := "slipway/" + app + "/" + environment + "/" + name
	key, err := pbkdf2.Key(sha256.New, value, []byte(salt), secretRounds, 8)
	if err != nil { // only for key lengths that FIPS forbids
		panic(fmt.Sprintf("secret %s: %v", name, err)) //nolint:forbidigo // cannot happen, see above
	}
	return Secret{Name: name, Version: hex.EncodeToString(key), value: value}
}

// KnownSecret pairs a value with a version that was given to it before, as a
// target does when it reads its own store.
func KnownSecret(name, version, value string) Secret {
	return Secret{Name: name, Version: version, value: value}
}

// Reveal is the value, empty where only name and version are known.
func (s Secret) Reveal() string { return s.value }

// String hides the value.
func (s Secret) String() string { return s.Name + "@" + s.Version }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return "deploy.Secret(" + s.String() + ")" }

// Format hides the value from every verb, %+v and %q among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue hides the value from structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
