package complaint_test

import (
	"strings"
	"testing"

	"github.com/google/cel-go/cel"

	"github.com/slipway-ci/slipway/internal/complaint"
)

func TestOf(t *testing.T) {
	env, err := cel.NewEnv(cel.Variable("status", cel.IntType))
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		"stauts == 200":           "column 1: undeclared reference to 'stauts'",
		"status == 200 &&\n stat": "line 2, column 2: undeclared reference to 'stat'",
		"status ==":               "column 10: Syntax error",
	} {
		_, issues := env.Compile(expression)
		if got := complaint.Of(issues); !strings.HasPrefix(got, want) || strings.Contains(got, "container") {
			t.Errorf("%q: %s; want %s", expression, got, want)
		}
	}
}
