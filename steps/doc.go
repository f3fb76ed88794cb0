// Package steps holds the pipelines: what release, promote, rollback and build
// do, each as a literal list of steps in the order in which they happen.
package steps
