package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-ci/slipway/deploy"
)

// ErrIncomplete means that an image is in the registry without all its parts.
var ErrIncomplete = errors.New("the image is incomplete")

// Taken means that a version's tag names another image. Version tags do not
// move.
type Taken struct {
	Repository string
	Version    string
	// Have is the digest that the tag names, Want the one it should have got.
	Have, Want string
}

// Error names the tag and both digests.
func (t *Taken) Error() string {
	return fmt.Sprintf("version %s is taken: %s:%s is %s, and this build is %s",
		t.Version, t.Repository, deploy.TagOf(t.Version), t.Have, t.Want)
}

func taken(t *Taken) error {
	return deploy.Hinted(t, "a version names one image for ever. Give this build another version, "+
		"or bring what is there to an environment: slipway promote --version %s --environment …", t.Version)
}

// NotFound means that a repository has no such version or digest.
type NotFound struct {
	Repository string
	// Reference is the version or the digest that was asked for.
	Reference string
}

// Error names what is missing and where.
func (n *NotFound) Error() string {
	return fmt.Sprintf("%s has no image %s", n.Repository, n.Reference)
}

func notFound(repository, reference string) error {
	return deploy.Hinted(&NotFound{Repository: repository, Reference: reference},
		"look at what it has, or make it: slipway build --push --version …")
}

// statusOf is the status that a registry answered with; zero if it was none.
func statusOf(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// cutOff tells connections that broke in the middle.
func cutOff(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET, net.ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// sentence is an error that reads well and keeps its cause.
type sentence struct {
	text  string
	cause error
}

// Error is the sentence alone.
func (s *sentence) Error() string { return s.text }

// Unwrap gives the cause.
func (s *sentence) Unwrap() error { return s.cause }

// explain turns what a registry or the way to it said into a sentence and a
// hint. The operation is a phrase such as "push ghcr.io/acme/hello".
func explain(ctx context.Context, operation string, repo name.Repository, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", operation, interruption(ctx))
	}
	var login *LoginError
	if errors.As(err, &login) { // of another server than the registry
		return fmt.Errorf("%s: %w", operation, login)
	}
	text, hint := diagnose(repo, err)
	if text == "" {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return deploy.Hinted(&sentence{text: operation + ": " + text, cause: err}, "%s", hint)
}

// interruption says why a context is over.
func interruption(ctx context.Context) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, context.Canceled):
		return &sentence{text: "interrupted", cause: cause}
	case errors.Is(cause, context.DeadlineExceeded):
		return &sentence{text: "the time that was given for it ran out", cause: cause}
	}
	return cause
}

func diagnose(repo name.Repository, err error) (text, hint string) {
	registry := repo.RegistryStr()
	var answer *transport.Error
	var untrusted *tls.CertificateVerificationError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &untrusted): // before what it answered to plain http, tried after https
		return fmt.Sprintf("the certificate of %s is not trusted (%v)", registry, untrusted.Err),
			"add the authority that signed it to the certificates of this machine (SSL_CERT_FILE)"
	case errors.As(err, &answer):
		return diagnoseAnswer(repo, answer)
	case errors.Is(err, errPlain), errors.Is(err, http.ErrSchemeMismatch) && !isLoopback(registry):
		return registry + " does not speak https, and " + errPlain.Error(),
			"give the registry a certificate"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing answers at " + registry + " (connection refused)",
			"check the name in image, and that the registry runs"
	case errors.As(err, &lookup):
		return "there is no host " + registry + " (" + lookup.Err + ")",
			"check the name in image, and that this machine reaches the network"
	case cutOff(err):
		return "the connection to " + registry + " broke, again and again",
			"run it again: what has arrived is not sent twice"
	}
	return "", ""
}

func diagnoseAnswer(repo name.Repository, answer *transport.Error) (text, hint string) {
	registry := repo.RegistryStr()
	said := says(answer)
	switch status := answer.StatusCode; {
	case status == http.StatusUnauthorized:
		return registry + " wants a login" + said, loginHint(repo)
	case status == http.StatusForbidden:
		return registry + " does not allow it" + said, permissionHint(repo)
	case status == http.StatusNotFound:
		return registry + " has no repository " + repo.RepositoryStr() + said,
			"check the name in image; some registries want a repository to be created before the first push"
	case status == http.StatusTooManyRequests:
		return registry + " limits how much may be asked of it" + said,
			"wait " + pauseOf(answer) + " and run it again; registries allow more after a login"
	case status == http.StatusRequestEntityTooLarge:
		return registry + " refuses a layer of this size" + said,
			"raise the limit of the registry or of the proxy before it, or split files into smaller entries"
	case status == http.StatusInsufficientStorage:
		return registry + " has no room left" + said, "make room on its disk, or remove images that nobody needs"
	case status >= http.StatusInternalServerError:
		return fmt.Sprintf("%s is not well: it answered %d again and again%s", registry, status, said),
			"look at the registry's status or log, and run it again: what has arrived is not sent twice"
	default:
		return fmt.Sprintf("%s answered %d%s", registry, status, said), "see the registry's log for what it objects to"
	}
}

// pauseOf is how long a registry asks to be left alone.
func pauseOf(answer *transport.Error) string {
	if pause := trialsOf(answer.Request).pause; pause > 0 {
		return pause.Round(time.Second).String()
	}
	return "a few minutes"
}

// says is what the registry itself gave as its reason, in one line.
func says(answer *transport.Error) string {
	var parts []string
	for _, d := range answer.Errors {
		if d.Message != "" {
			parts = append(parts, d.Message)
		} else if d.Code != "" {
			parts = append(parts, string(d.Code))
		}
	}
	text := strings.Join(strings.Fields(strings.Join(parts, "; ")), " ")
	if text == "" {
		return ""
	}
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return ": " + text
}

func loginHint(repo name.Repository) string {
	if isGitHub(repo) {
		return "log in to " + repo.RegistryStr() + ": in a workflow with the job's GITHUB_TOKEN and " +
			"permissions: {packages: write}; by hand with docker login " + repo.RegistryStr()
	}
	return "log in first: docker login " + repo.RegistryStr()
}

func permissionHint(repo name.Repository) string {
	if isGitHub(repo) {
		return "give the job permissions: {packages: write}, and the repository write access in the settings of the package " +
			repo.RepositoryStr()
	}
	return "check that the account may pull from and push to " + repo.Name()
}

func isGitHub(repo name.Repository) bool { return repo.RegistryStr() == "ghcr.io" }
