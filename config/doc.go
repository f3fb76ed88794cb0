// Package config reads slipway.yaml into a [deploy.App].
//
// A file is read as a whole: every mistake in it is found at once, and each is
// an [Error] with file, line, column, the line itself, the values that would
// be valid and what to do. Only YAML that is not well-formed ends the reading
// at its first mistake. Nothing that the file leaves out stays empty; the
// defaults are those of package deploy.
//
// The types in document.go are the file's form. The reader, the JSON Schema
// for editors and the messages are all made from them.
//
// How an environment inherits: service is merged key by key, env inside it
// too, secrets are added to the app's, checks replace the app's as a whole,
// and strategy belongs to the environment alone.
package config
