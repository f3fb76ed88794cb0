// Package checks asks a running version the questions of slipway.yaml: it
// requests a path and judges the answer by a CEL expression, or runs a command.
package checks
