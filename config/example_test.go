package config_test

import (
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/config"
)

func ExampleParse() {
	file, err := config.Parse("slipway.yaml", []byte(`
app: hello
build: {base: busybox}
environments:
  production: {target: sandbox, after: staging, strategy: canary}
  staging: {target: sandbox}
`), config.Rules{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range file.App.Environments {
		fmt.Println(e.Name, "by", e.Strategy.Kind)
	}
	// Output:
	// staging by blue-green
	// production by canary
}

func ExampleErrors() {
	_, err := config.Parse("slipway.yaml", []byte(`app: hello
build: {base: busybox}
environments:
  staging: {target: sandbox, replica: 2}
`), config.Rules{})
	var mistakes config.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			fmt.Println(m)
		}
	}
	// Output:
	// slipway.yaml:4:30: unknown key "replica" in staging
	//   |
	// 4 |   staging: {target: sandbox, replica: 2}
	//   |                              ^^^^^^^
	//   = valid: target, after, image, service, env, secrets, replicas, checks, tasks, strategy, judge
	//   = hint: did you mean replicas?
}
