package acttest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// hello is the file that most scenarios have.
const hello = `app: hello
build:
  files:
    - {from: bin/app, to: /hello}
  entrypoint: [/hello]
service: {health: /healthz, drain: 1s}
checks:
  - {name: home, get: /, expect: 'status == 200 && body.contains("hello")'}
environments:
  staging: {target: sandbox, strategy: {blue-green: {keep: 0s}}}
  production: {target: sandbox, after: staging, strategy: {blue-green: {keep: 0s}}}
  preview: {target: sandbox}
`

// asks is hello with a production that a person has to let users in to.
var asks = strings.Replace(hello, "after: staging, strategy: {blue-green: {keep: 0s}}",
	"after: staging, strategy: {blue-green: {keep: 0s, approve: [0%]}}", 1)

// scenario is a story at GitHub, and what the last of its runs has to come to.
// Patterns are regular expressions.
type scenario struct {
	name string
	// file is slipway.yaml; empty is hello.
	file string
	// events happen one after the other. All but the last have to end well, or
	// red where they say so.
	events []event
	// fails: the job is red.
	fails bool
	// outputs are patterns of those that a later step sees; one that is not
	// named here may be anything.
	outputs map[string]string
	// says is in the log of our step, and summary in the job's summary, each in
	// this order.
	says, summary []string
	// notices and errors are all annotations: patterns of "FILE:LINE MESSAGE",
	// or of the message alone where it is about no file.
	notices, errors []string
	// deployments are all that GitHub has, as "ENVIRONMENT: STATE STATE…".
	deployments []string
	// comments are patterns of those on pull requests, as "#NUMBER BODY".
	comments []string
	// calls is how often the last run may ask GitHub; 0 does not count.
	calls int
	// live are patterns of the version in each environment afterwards; nil:
	// nobody looks.
	live map[string]string
}

var scenarios = []scenario{
	{
		name:   "push to the default branch",
		events: []event{merged(7, "1.0.0")},
		outputs: map[string]string{
			"outcome": `^promoted$`, "version": `^0\.1\.0-main\.2\.g[0-9a-f]{7}$`, "environment": `^production$`,
			"digest": `^sha256:[0-9a-f]{64}$`, "image": `/hello@sha256:[0-9a-f]{64}$`, "url": `^http://127\.0\.0\.1:\d+$`,
			"revision": `^[0-9a-f]{12}$`, "previous-revision": `^$`, "deployment-id": `^\d+$`, "report": `^slipway-report\.json$`,
			"plan": `^\{.*"environment":"production"`,
		},
		says:        []string{`staging promoted`, `production promoted`, `a later step sees \{`, `"outcome": "promoted"`},
		summary:     []string{`hello 0\.1\.0-main\.2\.g[0-9a-f]{7} is live in production`, `\[staging\]`, `\[production\]`},
		deployments: []string{"staging: queued in_progress success", "production: queued in_progress success"},
		comments:    []string{`(?s)^#7 .*is live in production`},
		calls:       30,
		live:        map[string]string{"staging": `^0\.1\.0-main\.2\.g`, "production": `^0\.1\.0-main\.2\.g`},
	},
	{
		name:        "push of a tag",
		events:      []event{tagged("1.2.0")},
		outputs:     map[string]string{"outcome": `^promoted$`, "version": `^1\.2\.0$`},
		says:        []string{`staging promoted: 1\.2\.0`, `production promoted: 1\.2\.0`},
		summary:     []string{`hello 1\.2\.0 is live in production`},
		deployments: []string{"staging: queued in_progress success", "production: queued in_progress success"},
		live:        map[string]string{"staging": `^1\.2\.0$`, "production": `^1\.2\.0$`},
	},
	{
		name: "promote by hand",
		events: []event{
			tagged("1.0.0"),
			released("1.1.0", "staging"),
			dispatched(map[string]string{"operation": "promote", "version": "1.1.0", "environment": "production", "reason": "it is time"}),
		},
		outputs: map[string]string{"outcome": `^promoted$`, "version": `^1\.1\.0$`, "environment": `^production$`, "previous-revision": `^[0-9a-f]{12}$`},
		says:    []string{`promote`, `production promoted: 1\.1\.0`},
		deployments: []string{
			"staging: queued in_progress success inactive", "production: queued in_progress success inactive",
			"staging: queued in_progress success", "production: queued in_progress success",
		},
		live: map[string]string{"staging": `^1\.1\.0$`, "production": `^1\.1\.0$`},
	},
	{
		name: "rollback by hand",
		events: []event{
			tagged("1.0.0"),
			tagged("1.1.0"),
			dispatched(map[string]string{"operation": "rollback", "environment": "production", "reason": "it is slow"}),
		},
		outputs: map[string]string{"outcome": `^promoted$`, "version": `^1\.0\.0$`, "environment": `^production$`},
		says:    []string{`rollback`, `production promoted: 1\.0\.0`},
		deployments: []string{
			"staging: queued in_progress success inactive", "production: queued in_progress success inactive",
			"staging: queued in_progress success", "production: queued in_progress success inactive",
			"production: queued in_progress success",
		},
		live: map[string]string{"staging": `^1\.1\.0$`, "production": `^1\.0\.0$`},
	},
	{
		name: "what was held is resumed by hand",
		file: asks,
		events: []event{
			tagged("1.0.0"), red(tagged("1.1.0")),
			dispatched(map[string]string{"operation": "resume", "environment": "production", "reason": "it looks good"}),
		},
		outputs: map[string]string{"outcome": `^promoted$`, "version": `^1\.1\.0$`},
		says:    []string{`resume`, `production promoted: 1\.1\.0`},
		deployments: []string{
			"staging: queued in_progress success inactive", "production: queued in_progress success inactive",
			"staging: queued in_progress success", "production: queued in_progress in_progress in_progress success",
		},
		live: map[string]string{"staging": `^1\.1\.0$`, "production": `^1\.1\.0$`},
	},
	{
		name: "what was held is aborted by hand",
		file: asks,
		events: []event{
			tagged("1.0.0"), red(tagged("1.1.0")),
			dispatched(map[string]string{"operation": "abort", "environment": "production", "reason": "it looks bad"}),
		},
		says: []string{`abort`, `users have 1\.0\.0 in production`},
		deployments: []string{
			"staging: queued in_progress success inactive", "production: queued in_progress success",
			"staging: queued in_progress success", "production: queued in_progress in_progress in_progress failure",
		},
		live: map[string]string{"staging": `^1\.1\.0$`, "production": `^1\.0\.0$`},
	},
	{
		name:    "push of another branch",
		events:  []event{pushed("feature", "1.0.0")},
		outputs: map[string]string{},
		notices: []string{`^feature is not the default branch main: nothing is released from it$`},
	},
	{
		name:        "a pull request is opened",
		events:      []event{tagged("1.0.0"), pullRequest(12, "opened", "1.1.0")},
		outputs:     map[string]string{"outcome": `^promoted$`, "environment": `^pr-12$`, "version": `^0\.0\.0-pr\.12\.g[0-9a-f]{7}$`},
		says:        []string{`pr-12 promoted`},
		deployments: []string{"staging: queued in_progress success", "production: queued in_progress success", "pr-12: queued in_progress success"},
		comments:    []string{`(?s)^#12 .*pr-12`},
		live:        map[string]string{"staging": `^1\.0\.0$`, "production": `^1\.0\.0$`},
	},
	{
		name:        "a pull request is pushed to",
		events:      []event{pullRequest(12, "opened", "1.0.0"), pullRequest(12, "synchronize", "1.1.0")},
		outputs:     map[string]string{"outcome": `^promoted$`, "environment": `^pr-12$`, "previous-revision": `^[0-9a-f]{12}$`},
		says:        []string{`replaces 0\.0\.0-pr\.12\.g`, `pr-12 promoted`},
		deployments: []string{"pr-12: queued in_progress success inactive", "pr-12: queued in_progress success"},
		comments:    []string{`(?s)^#12 .*pr-12`},
	},
	{
		name:        "a pull request is closed",
		events:      []event{pullRequest(12, "opened", "1.0.0"), pullRequest(12, "closed", "")},
		says:        []string{`pull request #12 is over`},
		deployments: []string{"pr-12: queued in_progress success inactive"},
		comments:    []string{`(?s)^#12 .*pr-12`},
	},
	{
		name:    "the end of a pull request was missed",
		events:  []event{pullRequest(12, "opened", "1.0.0"), missed(12, scheduled)},
		outputs: map[string]string{"outcome": `^unchanged$`},
		says:    []string{`removed: pull request #12`},
		// The comment is as it was.
		deployments: []string{"pr-12: queued in_progress success inactive"},
		comments:    []string{`(?s)^#12 .*pr-12`},
	},
	{
		name: "a pull request from a fork, by hand",
		events: []event{
			forked(12, "opened", "1.0.0"),
			trusted(dispatched(map[string]string{"operation": "preview", "pull-request": "12"})),
		},
		outputs:     map[string]string{"outcome": `^promoted$`, "environment": `^pr-12$`},
		deployments: []string{"pr-12: queued in_progress success"},
		comments:    []string{`(?s)^#12 .*pr-12`},
	},
	{
		name:    "a pull request from a fork",
		events:  []event{forked(12, "opened", "1.0.0")},
		notices: []string{`^pull request #12 is from a fork: its code gets neither secrets nor a token`},
		summary: []string{`staging`, `production`},
	},
	{
		name:   "a file that is wrong",
		file:   strings.Replace(hello, "after: staging", "after: stagin", 1) + "  qa: {target: sandbox, replica: 2}\n",
		events: []event{pushed("main", "1.0.0")},
		fails:  true,
		errors: []string{`^slipway\.yaml:11 .*stagin`, `^slipway\.yaml:13 .*replica`},
	},
}

// released is version of hello, tagged and released by hand to an environment
// alone.
func released(version, environment string) event {
	return func(s *scene) run {
		tagged(version)(s)
		return dispatched(map[string]string{"operation": "release", "version": version, "environment": environment})(s)
	}
}

func TestWorkflow(t *testing.T) {
	b := open(t)
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, b, cmp.Or(c.file, hello))
			var last result
			before := 0
			for i, happens := range c.events {
				before = len(s.hub.Requests())
				o := happens(s)
				last = s.act(o)
				if i < len(c.events)-1 && last.succeeded() == o.red {
					t.Fatalf("the job of event %d succeeded: %t", i+1, last.succeeded())
				}
			}
			c.judge(s, last)
			if asked := s.hub.Requests()[before:]; c.calls > 0 && len(asked) > c.calls {
				t.Errorf("GitHub was asked %d times, and not at most %d: %q", len(asked), c.calls, asked)
			}
		})
	}
}

// judge holds what came of the last run against the scenario.
func (c scenario) judge(s *scene, last result) {
	if last.succeeded() == c.fails {
		s.t.Errorf("the job succeeded: %t", last.succeeded())
	}
	outputs := last.outputs("slipway")
	for _, name := range slices.Sorted(maps.Keys(c.outputs)) {
		match(s.t, "the output "+name, c.outputs[name], outputs[name])
	}
	inOrder(s.t, "the log", c.says, last.says("Main"))
	inOrder(s.t, "the summary", c.summary, last.summary())
	each(s.t, "notices", c.notices, annotated(last.annotations("notice")))
	each(s.t, "errors", c.errors, annotated(last.annotations("error")))
	s.deploymentsAre(c.deployments...)
	var comments []string
	for _, comment := range s.hub.Comments() {
		comments = append(comments, "#"+strconv.Itoa(comment.Issue)+" "+comment.Body)
	}
	each(s.t, "comments", c.comments, comments)
	if c.live == nil {
		return
	}
	live := s.live()
	for _, name := range slices.Sorted(maps.Keys(c.live)) {
		match(s.t, "what is live in "+name, c.live[name], live[name])
	}
	if len(live) != len(c.live) {
		s.t.Errorf("live are %v", live)
	}
}

func annotated(entries []entry) []string {
	var found []string
	for _, e := range entries {
		text := e.Arg
		if file := e.Pairs["file"]; file != "" {
			text = file + ":" + e.Pairs["line"] + " " + text
		}
		found = append(found, text)
	}
	return found
}

// deploymentsAre holds all deployments at GitHub, oldest first, against
// "ENVIRONMENT: STATE STATE…".
func (s *scene) deploymentsAre(want ...string) {
	s.t.Helper()
	var got []string
	for _, d := range s.hub.Deployments() {
		states := d.Environment + ":"
		for _, status := range d.Statuses {
			states += " " + status.State
		}
		got = append(got, states)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("GitHub has the deployments %q, not %q", got, want)
	}
}
