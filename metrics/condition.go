package metrics

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/complaint"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Kind is what a metric gives, and so what a condition can ask.
type Kind string

// The kinds.
const (
	// KindTraffic has requests, of which some failed, and may have durations.
	KindTraffic Kind = "traffic"
	// KindEvents has errors that nobody knows the occasions of.
	KindEvents Kind = "events"
	// KindValue has one number.
	KindValue Kind = "value"
)

// Kind is what the query gives. A query that is wrong has none.
func (q Query) Kind() Kind {
	settled, failed, err := q.settled()
	switch {
	case err != nil:
		return ""
	case settled.Value != "":
		return KindValue
	case settled.Requests == "" && len(failed) > 0:
		return KindEvents
	}
	return KindTraffic
}

// Variables tell a person what a condition on a metric of this kind can speak
// of.
func (k Kind) Variables() string {
	switch k {
	case KindValue:
		return "result (the new version's number) and live (the live version's)"
	case KindEvents:
		return "result.errors of the new version, live.errors of the live version"
	}
	return "result.requests, result.errors and result.quantile(0.99) in seconds, of the new version, and the same of live"
}

// traffic is what an expression sees of a version. Counts are floating-point,
// so that a quotient of two is not cut off.
type traffic struct {
	Requests float64 `cel:"requests"`
	Errors   float64 `cel:"errors"`

	latency deploy.Histogram
}

// events is what an expression sees where there are no requests.
type events struct {
	Errors float64 `cel:"errors"`
}

// maxCost bounds what a condition may compute, in CEL's units.
const maxCost = 100_000

// languages are made once; they do not change.
var languages = map[Kind]func() (*cel.Env, error){
	KindTraffic: sync.OnceValues(func() (*cel.Env, error) { return newLanguage(reflect.TypeFor[traffic]()) }),
	KindEvents:  sync.OnceValues(func() (*cel.Env, error) { return newLanguage(reflect.TypeFor[events]()) }),
	KindValue:   sync.OnceValues(func() (*cel.Env, error) { return newLanguage(nil) }),
}

// newLanguage has the versions as objects of a type, or as numbers.
func newLanguage(of reflect.Type) (*cel.Env, error) {
	kind := cel.DoubleType
	var options []cel.EnvOption
	if of != nil {
		kind = cel.ObjectType(strings.ReplaceAll(of.String(), "*", ""))
		options = append(options, ext.NativeTypes(of, ext.ParseStructTags(true)))
	}
	options = append(options, cel.Variable("result", kind), cel.Variable("live", kind))
	if of == reflect.TypeFor[traffic]() {
		options = append(options, cel.Function("quantile", cel.MemberOverload("traffic_quantile_double",
			[]*cel.Type{kind, cel.DoubleType}, cel.DoubleType, cel.BinaryBinding(quantileOf))))
	}
	return cel.NewEnv(options...)
}

// quantileOf is a quantile of the durations: the upper bound of the bucket that
// it lies in, so that it is never told to be smaller than it is.
func quantileOf(of, at ref.Val) ref.Val {
	t, isTraffic := of.Value().(traffic)
	q, isNumber := at.Value().(float64)
	if !isTraffic || !isNumber {
		return types.NoSuchOverloadErr()
	}
	all := uint64(0)
	for _, n := range t.latency.Counts {
		all += n
	}
	switch {
	case !(q > 0 && q < 1):
		return types.NewErr("quantile(%g): write a number between 0 and 1", q)
	case all == 0:
		return types.NewErr("no durations were measured")
	}
	rank, below := uint64(math.Ceil(q*float64(all))), uint64(0)
	for i, le := range t.latency.Le {
		if below += t.latency.Counts[i]; below >= rank {
			return types.Double(le)
		}
	}
	return types.Double(math.Inf(1))
}

// errNothing is a measurement of nothing. It is no success, and no failure
// either.
var errNothing = errors.New("nothing was measured")

// Condition compiles a CEL expression for a metric of a kind, such as
//
//	result.errors / result.requests < 0.01
//
// A name that is empty means all traffic. What it can speak of, Variables says.
// The error is a usage error that says where in the expression it stops making
// sense. The condition itself fails where the expression speaks of what was not
// measured: no requests, no durations, no value. As with Argo Rollouts, that is
// no measurement.
func Condition(name string, kind Kind, expression string) (analysis.Condition, error) {
	make, known := languages[kind]
	if !known {
		return nil, deploy.Usage("valid kinds: traffic, events, value", "there is no kind of metric %q", kind)
	}
	env, err := make()
	if err != nil {
		return nil, fmt.Errorf("set up the expression language: %w", err)
	}
	tree, issues := compile(env, expression)
	if issues.Err() != nil {
		return nil, invalid(kind, expression, complaint.Of(issues))
	}
	if tree.OutputType() != cel.BoolType {
		return nil, invalid(kind, expression, fmt.Sprintf("column 1: the result is of type %s, not true or false", tree.OutputType()))
	}
	program, err := env.Program(tree, cel.CostLimit(maxCost))
	if err != nil {
		return nil, invalid(kind, expression, err.Error())
	}
	c := condition{name: name, kind: kind, program: program}
	for _, r := range tree.NativeRep().ReferenceMap() {
		c.asksResult, c.asksLive = c.asksResult || r.Name == "result", c.asksLive || r.Name == "live"
	}
	return c.holds, nil
}

// compile checks an expression in which every number is a floating-point one, as
// all that it can speak of is: people write result.errors == 0.
func compile(env *cel.Env, expression string) (*cel.Ast, *cel.Issues) {
	tree, issues := env.Parse(expression)
	if issues.Err() != nil {
		return nil, issues
	}
	numbers, factory := tree.NativeRep().Expr(), ast.NewExprFactory()
	ast.PostOrderVisit(numbers, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.LiteralKind {
			return
		}
		if n, ok := e.AsLiteral().(types.Int); ok {
			e.SetKindCase(factory.NewLiteral(e.ID(), types.Double(n)))
		}
	}))
	return env.Check(tree)
}

func invalid(kind Kind, expression, why string) error {
	return deploy.Usage("the variables are "+kind.Variables(), "not a valid condition: %s, in %s", why, shortened(expression))
}

// condition is a compiled expression on one metric.
type condition struct {
	name                 string
	kind                 Kind
	program              cel.Program
	asksResult, asksLive bool
}

func (c condition) holds(s analysis.Sample) (bool, error) {
	result, known := c.of(s, candidate)
	if c.asksResult && !known {
		return false, fmt.Errorf("%w of the new version", errNothing)
	}
	before, known := c.of(s, live)
	if c.asksLive && !known {
		return false, fmt.Errorf("%w of the live version", errNothing)
	}
	value, _, err := c.program.Eval(map[string]any{"result": result, "live": before})
	if err != nil {
		return false, err
	}
	yes, ok := value.Value().(bool)
	return yes && ok, nil
}

// of is what an expression sees of one version.
func (c condition) of(s analysis.Sample, which side) (seen any, known bool) {
	if c.kind == KindValue {
		n := numberOf(s, c.name, which)
		return n, !math.IsNaN(n)
	}
	t, found := trafficOf(s, c.name, which)
	if c.kind == KindEvents {
		return events{float64(t.Errors)}, found
	}
	return traffic{float64(t.Requests), float64(t.Errors), t.Latency}, t.Requests > 0 || len(t.Latency.Counts) > 0
}

func numberOf(s analysis.Sample, name string, which side) float64 {
	for _, g := range s.Gauges {
		if g.Name == name && which == live {
			return g.Live
		}
		if g.Name == name {
			return g.Candidate
		}
	}
	return math.NaN()
}

func trafficOf(s analysis.Sample, name string, which side) (deploy.Traffic, bool) {
	m, found := analysis.Measure{Live: s.Live, Candidate: s.Candidate}, name == ""
	for _, o := range s.Others {
		if name != "" && o.Name == name {
			m, found = o, true
		}
	}
	switch {
	case !found:
		return deploy.Traffic{}, false
	case which == live:
		return m.Live, true
	}
	return m.Candidate, true
}
