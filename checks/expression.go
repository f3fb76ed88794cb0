package checks

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/cel-go/cel"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/complaint"
)

// defaultExpect is what an answer has to fulfil where a check says nothing.
const defaultExpect = "status >= 200 && status < 400"

// Variables tell a person what an expression can speak of.
const Variables = "status (int), body (string), headers (map of lower-case name to string), duration (duration)"

// maxCost bounds what an expression may compute, in CEL's units: a second or
// two. A search through a body of 1 MiB costs about a tenth of it.
const maxCost = 2_000_000

// language is made once; it does not change.
var language = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("status", cel.IntType),
		cel.Variable("body", cel.StringType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("duration", cel.DurationType),
	)
})

// Validate compiles a CEL expression, which has to be true or false in the
// end. Its error is a usage error that says where in the expression it stops
// making sense; the hint says which variables there are.
func Validate(expr string) error {
	_, err := compile(expr)
	return err
}

// compile makes a program of an expression; the empty one is the default.
func compile(expr string) (cel.Program, error) {
	if strings.TrimSpace(expr) == "" {
		expr = defaultExpect
	}
	env, err := language()
	if err != nil {
		return nil, fmt.Errorf("set up the expression language: %w", err)
	}
	tree, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, invalid(complaint.Of(issues))
	}
	if tree.OutputType() != cel.BoolType {
		return nil, invalid(fmt.Sprintf("column 1: the result is of type %s, not true or false", tree.OutputType()))
	}
	program, err := env.Program(tree, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(1000))
	if err != nil {
		return nil, invalid(err.Error())
	}
	return program, nil
}

func invalid(why string) error {
	return deploy.Usage("the variables are "+Variables, "not a valid expression: %s", why)
}

// answer is what an expression judges.
type answer struct {
	status  int
	body    string
	headers map[string]string
	took    time.Duration
}

// holds evaluates a program over an answer.
func (a answer) holds(ctx context.Context, program cel.Program) (bool, error) {
	value, _, err := program.ContextEval(ctx, map[string]any{
		"status":   a.status,
		"body":     a.body,
		"headers":  a.headers,
		"duration": a.took,
	})
	if err != nil {
		return false, fmt.Errorf("evaluate: %w", err)
	}
	yes, ok := value.Value().(bool)
	return yes && ok, nil
}
