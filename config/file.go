package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/deploy"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 1 << 20

// Rules are what the reader cannot know by itself.
type Rules struct {
	// Expression validates the expect of a check; nil skips that.
	Expression func(expr string) error
	// Metric validates one of a judge, without asking for it; nil skips that.
	Metric func(m deploy.Metric) error
	// Targets are the known kinds by name, such as "sandbox". Nil accepts
	// every kind and strategy that the file's form has.
	Targets map[string]Target
}

// Target is what a kind of target can do.
type Target struct {
	// Strategies are those that it can carry out.
	Strategies []deploy.Kind
}

// File is a configuration that was read.
type File struct {
	// Path is where it was read from.
	Path string
	// Root is the folder that build.files and the commands of checks are
	// relative to: the folder of the file, or the one above where the file
	// lies in .github.
	Root string
	// App is what it describes, complete with all defaults.
	App deploy.App
}

// Load reads and validates a file. Every error it returns is a usage error;
// where the file's content is at fault, it holds [Errors].
func Load(path string, rules Rules) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, rules)
}

// read takes in one byte more than is allowed, so that Parse sees the excess
// and nobody has to hold an endless file.
func read(path string) (_ []byte, err error) {
	const hint = "name a readable slipway.yaml with --config, or write a first one with `slipway init`"
	info, err := os.Stat(path) // before it is opened: a pipe would keep us waiting
	if err != nil {
		return nil, deploy.Usage(hint, "read configuration: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, deploy.Usage(hint, "read configuration: %s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, deploy.Usage(hint, "read configuration: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, deploy.Usage(hint, "read configuration: %w", err)
	}
	return data, nil
}

// Parse reads and validates the content of a file; path names it in messages.
// Its errors are like those of [Load].
func Parse(path string, data []byte, rules Rules) (*File, error) {
	if len(data) > MaxSize {
		return nil, deploy.Usage("slipway.yaml describes one app; keep anything else elsewhere",
			"%s is larger than %d KiB", path, MaxSize>>10)
	}
	r := newReader(path, data, rules)
	app := r.app()
	if errs := r.mistakes(); len(errs) > 0 {
		return nil, &deploy.Fault{Err: errs, Usage: true}
	}
	return &File{Path: path, Root: root(path), App: app}, nil
}

// root is what the paths in a file are relative to.
func root(path string) string {
	dir := filepath.Dir(path)
	if filepath.Base(dir) != ".github" {
		return dir
	}
	return filepath.Dir(dir)
}

// app goes from bytes to the App as far as mistakes let it, and collects them.
func (r *reader) app() deploy.App {
	top, ok := r.syntax()
	if !ok {
		return deploy.App{}
	}
	doc := &document{}
	r.into(doc, place{value: top, name: topName, example: examples[topName], required: true})
	if r.full {
		return deploy.App{}
	}
	return r.compile(doc)
}

// topName is how messages call the file's outermost mapping.
const topName = "slipway.yaml"

// String names the file and its app.
func (f *File) String() string { return fmt.Sprintf("%s (%s)", f.Path, f.App.Name) }
