package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-ci/slipway/deploy"
)

// observe is the judge that decides nothing.
const observe = "observe"

// judge is observe, or settings.
type judge struct {
	observes bool
	judging
	// measured are its metrics, once they were compiled.
	measured []deploy.Metric
	compiled bool
}

// judging are the settings of the judge.
type judging struct {
	Observe   *truth     `yaml:"observe" jsonschema_description:"true: the judge says what it would have done, and the limit on errors decides; judge: observe is short for it. Left out: false."`
	Alpha     *chance    `yaml:"alpha" jsonschema_description:"The chance of reverting a version that is not worse. Left out: 1%."`
	Margin    *share     `yaml:"margin" jsonschema_description:"By how many percentage points the share of errors of all users may rise unseen. Left out: 0.1%."`
	Latency   *latencies `yaml:"latency" jsonschema_description:"How durations are judged."`
	WarmUp    *pause     `yaml:"warm-up" jsonschema_description:"How long after the first user durations are not judged. Left out: 30s."`
	MaxHold   *patience  `yaml:"max-hold" jsonschema_description:"The longest time that a stage is watched while it is not known whether it may pass. Left out: 30m, and not beyond hold where no user has come."`
	Metrics   []metric   `yaml:"metrics" jsonschema_description:"What is looked at besides the requests that the target counts."`
	OnUnknown *onUnknown `yaml:"on-unknown" jsonschema_description:"What is done then: hold (a person decides), revert or promote. Left out: hold; a blue-green passes without users."`
}

type latencies struct {
	Ratio *ratio `yaml:"ratio" jsonschema_description:"By how much quantiles of durations may rise unseen. Left out: 1.25."`
}

func (v *judge) read(r *reader, p place) bool {
	if name, scalar := text(p.value); scalar {
		v.observes = true
		return r.oneOf(p.mark(), p.name, name, []string{observe})
	}
	if _, isMap := p.value.(ast.MapNode); !isMap {
		return r.unchosen(p, "observe, or a mapping of settings, found "+found(p.value), []string{observe})
	}
	ok := r.fields(reflect.ValueOf(&v.judging).Elem(), p)
	v.observes = v.Observe != nil && bool(*v.Observe)
	return ok
}

// judging is what the file says of the judge for an environment: its own words
// go over the app's.
func (r *reader) judging(app *judge, e *named, s deploy.Strategy) deploy.Strategy {
	if e.Judge != nil && !s.Judged() && s.Kind != "" {
		r.add(r.at(e.Judge).keyMark(), Error{
			Message: fmt.Sprintf("judge: %s has no judge", s.Kind),
			Valid:   []string{string(deploy.Canary), string(deploy.BlueGreen)},
			Hint:    "choose a strategy that lets both versions be compared, or remove it: errors is the limit of the others",
		})
	}
	if !s.Judged() {
		return s
	}
	for _, j := range []*judge{app, e.Judge} {
		if j != nil {
			r.lay(j, &s.Judging)
			r.inCluster(j, e)
		}
	}
	if s.Judging.Observe && s.Pace == deploy.PaceEvidence {
		r.add(e.Strategy.mark, Error{
			Message: "pace: evidence needs a judge that decides, and this one observes",
			Hint:    "write pace: time, or let the judge decide",
		})
	}
	return s
}

// lay puts what a judge says over what is known of it.
func (r *reader) lay(j *judge, over *deploy.Judging) {
	put(&over.Alpha, j.Alpha)
	put(&over.Margin, j.Margin)
	put(&over.WarmUp, j.WarmUp)
	put(&over.MaxHold, j.MaxHold)
	if j.WarmUp != nil && *j.WarmUp == 0 {
		over.WarmUp = -1
	}
	if j.Latency != nil {
		put(&over.LatencyRatio, j.Latency.Ratio)
	}
	if j.OnUnknown != nil {
		over.OnUnknown = deploy.OnUnknown(*j.OnUnknown)
	}
	if r.at(&j.Metrics).value != nil {
		if !j.compiled { // the app's are there once, and their mistakes
			j.measured, j.compiled = r.metrics(j.Metrics), true
		}
		over.Metrics = j.measured
	}
	if j.observes || j.Observe != nil {
		over.Observe = j.observes
	}
}

// inCluster refuses what only a cluster can tell of an environment elsewhere.
func (r *reader) inCluster(j *judge, e *named) {
	if e.Target.kind == "" || e.Target.kind == keyKubernetes {
		return
	}
	for i := range j.Metrics {
		if m := &j.Metrics[i]; m.Kubernetes != nil && r.good(m) {
			r.add(r.at(&m.Kubernetes).keyMark(), Error{
				Message: fmt.Sprintf("kubernetes: %s is not in a cluster, it has target: %s", e.name, e.Target.kind),
				Hint:    "move the metric to a judge of an environment that has target: kubernetes",
			})
		}
	}
}

// keyKubernetes is the kind of target that a cluster is.
const keyKubernetes = "kubernetes"

// The words.
type (
	onUnknown string
	pace      string
	baseline  string
)

func (v *onUnknown) read(r *reader, p place) bool {
	return readWord(r, p, v, wordsOf(deploy.OnUnknowns))
}
func (v *pace) read(r *reader, p place) bool { return readWord(r, p, v, wordsOf(deploy.Paces)) }
func (v *baseline) read(r *reader, p place) bool {
	return readWord(r, p, v, wordsOf(deploy.Baselines))
}

func wordsOf[T ~string](list []T) []string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return words
}

func readWord[T ~string](r *reader, p place, into *T, words []string) bool {
	word, ok := text(p.value)
	if !ok {
		return r.wrong(p, "a word", "")
	}
	*into = T(word)
	return slices.Contains(words, word) || r.oneOf(p.mark(), p.name, word, words)
}

// chance is neither none nor certain.
type chance deploy.Percent

func (v *chance) read(r *reader, p place) bool {
	const expected = "a percentage above 0% and below 100%"
	return readPercent(r, p, v, expected) && (*v > 0 && *v < 100 || r.wrong(p, expected, ""))
}

// ratio is of two durations, of which the first is the longer.
type ratio float64

// maxRatio is more than anybody waits.
const maxRatio = 100

func (v *ratio) read(r *reader, p place) bool {
	n, ok := decimal(p.value)
	if !ok || n <= 1 || n > maxRatio {
		return r.wrong(p, fmt.Sprintf("a number above 1 and up to %d", maxRatio), "")
	}
	*v = ratio(n)
	return true
}

// decimal is the value of a number.
func decimal(n ast.Node) (float64, bool) {
	if node, ok := n.(*ast.FloatNode); ok {
		return node.Value, true
	}
	whole, ok := whole(n)
	return float64(whole), ok
}
