// Package version says which version a commit is: the tag it carries, or one
// computed from git that is a valid semantic version, a valid image tag, and
// higher than those of the commits before it.
//
// Git is read through go-git; no git binary is needed. Nothing is ever written.
package version
