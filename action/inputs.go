package action

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-ci/slipway/deploy"
)

// Inputs are what the workflow hands to the action, validated. An empty string
// means that the workflow says nothing.
type Inputs struct {
	// Command is one of Commands.
	Command string
	// Config is a path relative to WorkingDirectory.
	Config string
	// Version is a semver without a leading v, or what names one: ~1.4, latest.
	Version     string
	Environment string
	Strategy    deploy.Kind
	// Operation is release, promote or rollback.
	Operation string
	Reason    string
	DryRun    bool
	Push      bool
	MoveTags  bool
	// Image is the reference of an image that is built already, Archive the path
	// of one on disk, relative to WorkingDirectory.
	Image, Archive string
	// Plan is the path of a plan to keep to, relative to WorkingDirectory.
	Plan      string
	SkipOrder bool
	// PullRequest is the number that a preview is of; 0 takes the event's.
	PullRequest int
	// Repair puts back what drift finds.
	Repair bool
	// Report is the path of the JSON report, relative to WorkingDirectory.
	Report string
	// CommitStatus sets statuses of the commit at GitHub.
	CommitStatus bool
	GitHubToken  string
	// RegistryUser and RegistryPassword open the registry of the image; both are
	// given, or none.
	RegistryUser, RegistryPassword string
	// Kubeconfig is the text of one, in as many lines as it has. Whoever knows
	// what is secret in it masks that.
	Kubeconfig string

	WorkingDirectory string
}

// Inputs reads and validates every input. All mistakes are told at once; each
// is a deploy.Usage that names the input and its valid values.
func (r *Runner) Inputs() (Inputs, error) {
	p := parser{runner: r}
	in := Inputs{
		Command:          p.choice(InputCommand, Commands()),
		Config:           p.line(InputConfig),
		Version:          plain(p.line(InputVersion)),
		Environment:      p.line(InputEnvironment),
		Strategy:         deploy.Kind(p.choice(InputStrategy, strategies())),
		Operation:        p.choice(InputOperation, Operations()),
		Reason:           p.line(InputReason),
		DryRun:           p.boolean(InputDryRun),
		Push:             p.boolean(InputPush),
		MoveTags:         p.boolean(InputMoveTags),
		Image:            p.line(InputImage),
		Archive:          p.line(InputArchive),
		Plan:             p.line(InputPlan),
		SkipOrder:        p.boolean(InputSkipOrder),
		PullRequest:      p.number(InputPullRequest, p.line(InputPullRequest)),
		Repair:           p.boolean(InputRepair),
		Report:           p.line(InputReport),
		CommitStatus:     p.boolean(InputCommitStatus),
		GitHubToken:      p.line(InputGitHubToken),
		RegistryUser:     p.line(InputRegistryUser),
		RegistryPassword: p.raw(InputRegistryPassword),
		Kubeconfig:       p.raw(InputKubeconfig),
		WorkingDirectory: p.line(InputWorkingDirectory),
	}
	if in.RegistryPassword != "" {
		r.AddMask(in.RegistryPassword)
	}
	in.Command = orElse(in.Command, Auto)
	in.WorkingDirectory = orElse(in.WorkingDirectory, ".")
	return in, errors.Join(p.errs...)
}

// parser reads inputs and collects what is wrong with them.
type parser struct {
	runner *Runner
	errs   []error
}

func (p *parser) refuse(hint, format string, args ...any) {
	p.errs = append(p.errs, deploy.Usage(hint, format, args...))
}

// raw finds an input under the name that the runner gives it (INPUT_DRY-RUN)
// and under the one that a shell can set (INPUT_DRY_RUN).
func (p *parser) raw(name string) string {
	upper := "INPUT_" + strings.ToUpper(name)
	hyphens := strings.TrimSpace(p.runner.getenv(upper))
	underscores := strings.TrimSpace(p.runner.getenv(strings.ReplaceAll(upper, "-", "_")))
	if hyphens != "" && underscores != "" && hyphens != underscores {
		p.refuse("set one of the two", "input %s is given twice with different values", name)
	}
	return orElse(hyphens, underscores)
}

func (p *parser) line(name string) string {
	s := p.raw(name)
	if strings.ContainsFunc(s, unicode.IsControl) {
		p.refuse("write it on one line", "input %s has a line break or a control character", name)
		return ""
	}
	return s
}

func (p *parser) choice(name string, valid []string) string {
	s := strings.ToLower(p.line(name))
	if s != "" && !slices.Contains(valid, s) {
		p.refuse("use one of "+strings.Join(valid, ", "), "input %s: %q is not known", name, s)
		return ""
	}
	return s
}

func (p *parser) boolean(name string) bool { return p.truth(name, p.line(name)) }

// truth takes what GitHub's own actions take, and nothing else: a typing error
// in dry-run must not deploy.
func (p *parser) truth(name, s string) bool {
	switch s {
	case "", "false", "False", "FALSE":
		return false
	case "true", "True", "TRUE":
		return true
	default:
		p.refuse("use true or false", "input %s: %q is neither true nor false", name, s)
		return false
	}
}

// number is 0 where nothing is given.
func (p *parser) number(name, s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimPrefix(s, "#"))
	if err != nil || n <= 0 {
		p.refuse("use a number such as 12", "input %s: %q is not a number", name, s)
		return 0
	}
	return n
}

// plain is a version without a leading v; what is none is left to the command,
// which knows whether it may be something else.
func plain(s string) string {
	version, err := semver.StrictNewVersion(strings.TrimPrefix(s, "v"))
	if err != nil {
		return s
	}
	return version.String()
}
