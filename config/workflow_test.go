package config_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/config"
)

// workflow is what is read of a workflow file.
type workflow struct {
	On          any
	Permissions any
	Concurrency any
	Jobs        map[string]job
}

type job struct {
	RunsOn      any `yaml:"runs-on"`
	If          string
	Permissions any
	Timeout     int `yaml:"timeout-minutes"`
	Steps       []step
}

type step struct {
	Uses, Run, If string
	With          map[string]any
}

func parseWorkflow(t *testing.T, content []byte) workflow {
	t.Helper()
	var w workflow
	if err := yaml.Unmarshal(content, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// events are the names of those that start the workflow.
func (w workflow) events() []string {
	switch on := w.On.(type) {
	case string:
		return []string{on}
	case []any:
		var names []string
		for _, name := range on {
			names = append(names, fmt.Sprint(name))
		}
		return names
	case map[string]any:
		return slices.Sorted(maps.Keys(on))
	}
	return nil
}

// startedBy reports whether one of the events starts the workflow.
func (w workflow) startedBy(names ...string) bool {
	return slices.ContainsFunc(w.events(), func(event string) bool { return slices.Contains(names, event) })
}

// uses reports whether a step is of the action, whatever its version.
func (s step) uses(action string) bool { return strings.HasPrefix(s.Uses, action+"@") }

// ours reports whether a step deploys.
func (s step) ours() bool {
	return s.uses("slipway-ci/slipway") || strings.Contains(s.Run, "slipway auto")
}

// grants are permissions as pairs such as "contents: read".
func grants(permissions any) []string {
	switch p := permissions.(type) {
	case nil:
		return nil
	case string:
		return []string{p}
	case map[string]any:
		var list []string
		for _, name := range slices.Sorted(maps.Keys(p)) {
			list = append(list, fmt.Sprintf("%s: %v", name, p[name]))
		}
		return list
	}
	return []string{fmt.Sprintf("%v", permissions)}
}

// The rules say what is wrong with a workflow, one sentence each. They are
// those that people run zizmor for, and a few of a deployment's own.
var workflowRules = []func(workflow) []string{
	leastPermissions,
	timeLimits,
	pinnedActions,
	credentialsLeftBehind,
	textInScripts,
	strangersCode,
	ownRunners,
	cutOff,
}

func faults(w workflow) []string {
	var all []string
	for _, rule := range workflowRules {
		all = append(all, rule(w)...)
	}
	return all
}

// leastPermissions: the workflow grants no more than to read the contents; what
// a job may write, it says itself.
func leastPermissions(w workflow) []string {
	var wrong []string
	if w.Permissions == nil {
		wrong = append(wrong, "the workflow does not say its permissions")
	}
	for _, grant := range grants(w.Permissions) {
		if grant != "contents: read" {
			wrong = append(wrong, fmt.Sprintf("every job gets %q", grant))
		}
	}
	for name, j := range w.Jobs {
		for _, grant := range grants(j.Permissions) {
			if grant == "write-all" || grant == "read-all" {
				wrong = append(wrong, fmt.Sprintf("job %s gets %s", name, grant))
			}
		}
	}
	return wrong
}

func timeLimits(w workflow) []string {
	var wrong []string
	for name, j := range w.Jobs {
		if j.Timeout <= 0 || j.Timeout > 60 {
			wrong = append(wrong, fmt.Sprintf("job %s has a limit of %d minutes", name, j.Timeout))
		}
	}
	return wrong
}

var (
	commitPin = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}$`)
	ownTag    = regexp.MustCompile(`^slipway-ci/slipway@v[0-9]+$`)
)

// pinnedActions: a tag can be moved to other code, a commit cannot. Ours is
// shown by the tag that follows its releases.
func pinnedActions(w workflow) []string {
	return w.eachStep(func(s step) string {
		if s.Uses == "" || commitPin.MatchString(s.Uses) || ownTag.MatchString(s.Uses) {
			return ""
		}
		return s.Uses + " is not pinned to a commit"
	})
}

func credentialsLeftBehind(w workflow) []string {
	return w.eachStep(func(s step) string {
		if s.uses("actions/checkout") && s.With["persist-credentials"] != false {
			return "checkout leaves the token in .git/config"
		}
		return ""
	})
}

// textInScripts: an expression in a script is put there as text, whoever wrote
// it. A script takes values from its environment.
func textInScripts(w workflow) []string {
	return w.eachStep(func(s step) string {
		script, _ := s.With["script"].(string)
		if strings.Contains(s.Run+script, "${{") {
			return "an expression is part of a script: " + s.Run + script
		}
		return ""
	})
}

// strangersCode: what runs with secrets and a token that may write, on an event
// that a stranger causes, must not fetch the stranger's code.
func strangersCode(w workflow) []string {
	if w.startedBy("pull_request_target", "issue_comment") {
		return w.eachStep(func(s step) string {
			if s.uses("actions/checkout") || s.Run != "" {
				return "code is fetched or run for a stranger, with secrets"
			}
			return ""
		})
	}
	if !w.startedBy("workflow_run") {
		return nil
	}
	return w.eachStep(func(s step) string {
		if s.uses("actions/checkout") && (s.With["ref"] != nil || s.With["repository"] != nil) {
			return "a stranger's code is checked out, with secrets"
		}
		return ""
	})
}

// ownRunners: a machine that lasts must not run what a fork brings.
func ownRunners(w workflow) []string {
	if !w.startedBy("pull_request", "workflow_run") {
		return nil
	}
	var wrong []string
	for name, j := range w.Jobs {
		own := strings.Contains(fmt.Sprint(j.RunsOn), "self-hosted")
		if own && !strings.Contains(j.If, "head.repo.full_name == github.repository") {
			wrong = append(wrong, fmt.Sprintf("job %s lets forks run code on a machine of one's own", name))
		}
	}
	return wrong
}

// cutOff: a deployment is neither met by another of the same branch nor
// cancelled by it.
func cutOff(w workflow) []string {
	if len(w.eachStep(func(s step) string { return map[bool]string{true: "deploys"}[s.ours()] })) == 0 {
		return nil
	}
	c, _ := w.Concurrency.(map[string]any)
	switch {
	case c["group"] == nil:
		return []string{"nothing keeps two runs apart"}
	case c["cancel-in-progress"] != nil && c["cancel-in-progress"] != false:
		return []string{"a deployment is cut off by the next run"}
	}
	return nil
}

// eachStep collects what a rule says of the steps; empty is nothing.
func (w workflow) eachStep(rule func(step) string) []string {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(w.Jobs)) {
		for _, s := range w.Jobs[name].Steps {
			if said := rule(s); said != "" {
				wrong = append(wrong, said)
			}
		}
	}
	return wrong
}

// sound is a workflow that breaks no rule.
const sound = `on: {pull_request: }
permissions: {contents: read}
concurrency: {group: slipway, cancel-in-progress: false}
jobs:
  deploy:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    permissions: {contents: read, deployments: write}
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8
        with: {persist-credentials: false}
      - run: make
      - uses: slipway-ci/slipway@v1
`

// TestRulesFindWhatIsWrong breaks each rule.
func TestRulesFindWhatIsWrong(t *testing.T) {
	if wrong := faults(parseWorkflow(t, []byte(sound))); len(wrong) > 0 {
		t.Fatalf("the sound one: %q", wrong)
	}
	for name, c := range map[string]struct{ old, now, want string }{
		"no permissions":              {"permissions: {contents: read}\n", "", "does not say its permissions"},
		"write for every job":         {"permissions: {contents: read}\n", "permissions: {contents: write}\n", `every job gets "contents: write"`},
		"all for every job":           {"permissions: {contents: read}\n", "permissions: write-all\n", `every job gets "write-all"`},
		"all for a job":               {"{contents: read, deployments: write}", "write-all", "job deploy gets write-all"},
		"no time limit":               {"    timeout-minutes: 30\n", "", "has a limit of 0 minutes"},
		"a tag":                       {"08c6903cd8c0fde910a37f88322edcfb5dd907a8", "v5", "actions/checkout@v5 is not pinned"},
		"our own by a branch":         {"slipway@v1", "slipway@main", "slipway-ci/slipway@main is not pinned"},
		"a container by a tag":        {"slipway-ci/slipway@v1", "docker://alpine:3", "docker://alpine:3 is not pinned"},
		"credentials":                 {"{persist-credentials: false}", "{fetch-depth: 0}", "leaves the token"},
		"a title in a script":         {"run: make", "run: echo ${{ github.event.pull_request.title }}", "part of a script"},
		"a branch in a script":        {"run: make", "uses: actions/github-script@08c6903cd8c0fde910a37f88322edcfb5dd907a8\n        with: {script: \"f('${{ github.head_ref }}')\"}", "part of a script"},
		"target":                      {"pull_request:", "pull_request_target:", "for a stranger"},
		"comment":                     {"pull_request:", "issue_comment:", "for a stranger"},
		"the other half":              {"{pull_request: }", "[workflow_run]", ""},
		"a fork on one's own machine": {"runs-on: ubuntu-latest", "runs-on: [self-hosted, linux]", "lets forks run code"},
		"our own people there": {
			"runs-on: ubuntu-latest", "runs-on: [self-hosted, linux]\n    if: github.event.pull_request.head.repo.full_name == github.repository", "",
		},
		"two at once":       {"concurrency: {group: slipway, cancel-in-progress: false}\n", "", "nothing keeps two runs apart"},
		"cancelled by next": {"cancel-in-progress: false", "cancel-in-progress: true", "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(sound, c.old, c.now, 1)
			if broken == sound {
				t.Fatal("nothing was changed")
			}
			wrong := strings.Join(faults(parseWorkflow(t, []byte(broken))), "; ")
			if c.want == "" && wrong != "" || !strings.Contains(wrong, c.want) {
				t.Errorf("said %q, not %q", wrong, c.want)
			}
		})
	}
}

// TestOtherHalfKeepsToItsOwnCode breaks the rule about workflow_run, which
// takes two changes.
func TestOtherHalfKeepsToItsOwnCode(t *testing.T) {
	broken := strings.Replace(sound, "{pull_request: }", "workflow_run", 1)
	broken = strings.Replace(broken, "{persist-credentials: false}",
		"{persist-credentials: false, ref: '${{ github.event.workflow_run.head_sha }}'}", 1)
	want := []string{"a stranger's code is checked out, with secrets"}
	if diff := cmp.Diff(want, faults(parseWorkflow(t, []byte(broken)))); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

// workflowFiles are those of this repository, by path: its own, the one that
// init writes, and the ones to copy.
func workflowFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, pattern := range []string{"workflow.yml", "../.github/workflows/*.yml", "../examples/*/.github/workflows/*.yml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("nothing is called %s (%v)", pattern, err)
		}
		for _, path := range paths {
			if files[path], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	return files
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// shownWorkflows are the whole ones in documents, by document and number.
func shownWorkflows(t *testing.T) map[string][]byte {
	t.Helper()
	shown := map[string][]byte{}
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../examples/*/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			page, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range yamlBlock.FindAllSubmatch(page, -1) {
				if strings.Contains("\n"+string(m[1]), "\njobs:\n") {
					shown[fmt.Sprintf("%s, block %d", path, i+1)] = m[1]
				}
			}
		}
	}
	return shown
}

// TestWorkflowsMayNotDoHarm holds every workflow that this repository runs,
// writes or shows to the rules.
func TestWorkflowsMayNotDoHarm(t *testing.T) {
	all := workflowFiles(t)
	maps.Copy(all, shownWorkflows(t))
	for path, content := range all {
		for _, wrong := range faults(parseWorkflow(t, content)) {
			t.Errorf("%s: %s", path, wrong)
		}
	}
}

// TestWorkflowsToCopyAreFiles holds the whole workflows in the pages of docs to
// files, which actionlint reads.
func TestWorkflowsToCopyAreFiles(t *testing.T) {
	files := slices.Collect(maps.Values(workflowFiles(t)))
	found := 0
	for where, content := range shownWorkflows(t) {
		if !strings.HasPrefix(where, "../docs/") {
			continue
		}
		found++
		if !slices.ContainsFunc(files, func(file []byte) bool { return string(file) == string(content) }) {
			t.Errorf("%s is the same as no file in examples", where)
		}
	}
	if found < 3 {
		t.Errorf("only %d whole workflows are shown in docs", found)
	}
}

// TestWorkflowHandlesEveryEvent holds the one workflow to one step of ours
// without a command, the events that auto knows, and a form with all of its
// operations and inputs.
func TestWorkflowHandlesEveryEvent(t *testing.T) {
	w := parseWorkflow(t, config.Workflow())
	if diff := cmp.Diff([]string{"pull_request", "push", "schedule", "workflow_dispatch"}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	var on struct {
		On struct {
			Push        struct{ Tags []string }
			PullRequest struct{ Types []string } `yaml:"pull_request"`
			Dispatch    struct {
				Inputs map[string]struct{ Options []string }
			} `yaml:"workflow_dispatch"`
		}
	}
	if err := yaml.Unmarshal(config.Workflow(), &on); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v*"}, on.On.Push.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"opened", "reopened", "synchronize", "ready_for_review", "closed"}, on.On.PullRequest.Types); diff != "" {
		t.Errorf("activities of pull requests (-want +got):\n%s", diff)
	}
	form := on.On.Dispatch.Inputs
	operations := []string{"release", "promote", "rollback", "pause", "resume", "abort", "preview"}
	if diff := cmp.Diff(operations, form["operation"].Options); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	inputs := []string{"dry-run", "environment", "operation", "pull-request", "reason", "skip-order", "strategy", "version"}
	if diff := cmp.Diff(inputs, slices.Sorted(maps.Keys(form))); diff != "" {
		t.Errorf("the form (-want +got):\n%s", diff)
	}
	steps := w.Jobs["slipway"].Steps
	if len(w.Jobs) != 1 || len(steps) != 3 {
		t.Fatalf("there are %d jobs, and %d steps in slipway", len(w.Jobs), len(steps))
	}
	if last := steps[2]; !last.ours() || last.With != nil {
		t.Errorf("the last step %+v is not ours alone, or says what to do", last)
	}
}

// TestWorkflowGetsWhatItNeeds holds the one workflow to the history that
// versions are computed from, and to the permissions of what it reports.
func TestWorkflowGetsWhatItNeeds(t *testing.T) {
	w := parseWorkflow(t, config.Workflow())
	want := []string{"actions: read", "contents: read", "deployments: write", "pull-requests: write"}
	if diff := cmp.Diff(want, grants(w.Jobs["slipway"].Permissions)); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
	first := w.Jobs["slipway"].Steps[0]
	if !first.uses("actions/checkout") || first.With["fetch-depth"] != uint64(0) {
		t.Errorf("the first step %+v does not fetch the history", first)
	}
	if ref, _ := first.With["ref"].(string); !strings.HasPrefix(ref, "${{ inputs.operation == 'preview' && ") {
		t.Errorf("the code of a pull request is checked out for more than a preview by hand: %s", ref)
	}
}
