package checks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/checks"
	"github.com/slipway-ci/slipway/deploy"
)

func ExampleValidate() {
	fmt.Println(checks.Validate(`status == 200 && body.contains("hello")`))

	err := checks.Validate(`stauts == 200`)
	fmt.Println(err)
	fmt.Println(deploy.HintOf(err))
	// Output:
	// <nil>
	// not a valid expression: column 1: undeclared reference to 'stauts'
	// the variables are status (int), body (string), headers (map of lower-case name to string), duration (duration)
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct{ expr, want string }{
		{expr: ""}, // the default
		{expr: `status in [200, 204]`},
		{expr: `headers["content-type"].startsWith("text/")`},
		{expr: `"x-version" in headers && headers["x-version"] == "1.2.0"`},
		{expr: `duration < duration("250ms")`},
		{expr: `body.matches("^(?i)ok$") || body.size() == 0`},
		{expr: `status`, want: "column 1: the result is of type int"},
		{expr: `status ==`, want: "column 10: Syntax error"},
		{expr: `status == "200"`, want: "column 8: found no matching overload"},
		{expr: "status == 200 &&\n  bodi == ''", want: "line 2, column 3: undeclared reference to 'bodi'"},
		{expr: `body.foo()`, want: "column 9: undeclared reference to 'foo'"},
		{expr: "status == 200\x00", want: "Syntax error"},
	} {
		err := checks.Validate(tc.expr)
		if tc.want == "" {
			if err != nil {
				t.Errorf("%q: %v", tc.expr, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.expr, err, tc.want)
		}
		if !deploy.IsUsage(err) || !strings.Contains(deploy.HintOf(err), "duration (duration)") {
			t.Errorf("%q: %v is no usage error with the variables", tc.expr, err)
		}
	}
}

func FuzzValidate(f *testing.F) {
	for _, s := range []string{"", "status == 200", `body.contains("x")`, "((((", "[1,2].all(x, x > 0)", "a.b.c[", `"\xff"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		err := checks.Validate(expr)
		var fault *deploy.Fault
		if err != nil && !errors.As(err, &fault) {
			t.Errorf("%q: %T is not a typed error", expr, err)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	for b.Loop() {
		if err := checks.Validate(`status == 200 && body.contains("hello")`); err != nil {
			b.Fatal(err)
		}
	}
}
