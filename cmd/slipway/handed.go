package main

import (
	"slices"
	"strings"
)

// withheld are the variables in which something was handed to Slipway alone: what
// logs in to clusters and registries, and what opens the services of a runner,
// which a step that runs a script has not either.
var withheld = []string{kubeconfigVariable, userVariable, passwordVariable, "ACTIONS_RUNTIME_TOKEN", "ACTIONS_RUNTIME_URL"}

// inputPrefix is that of the variables in which a runner hands over the inputs of
// an action, passwords and tokens among them.
const inputPrefix = "INPUT_"

// handedOn is the environment of the commands that a user's checks run: all of
// Slipway's own, without what was handed to it alone.
func handedOn(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(strings.ToUpper(name), inputPrefix) || slices.Contains(withheld, name)
	})
}
