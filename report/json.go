package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/deploy"
)

// JSONOptions say where the JSON report goes. Path is required.
type JSONOptions struct {
	// Path of the file; folders on the way are made.
	Path string
	// Calls counts the requests that were made to GitHub; nil where none are.
	Calls func() int
	// Requests counts those that were made to clusters, by verb and resource; nil
	// where none are.
	Requests func() map[string]int
	Scrub    Scrub
}

// JSON writes the story of the run as a file whose form report.schema.json in
// this package describes. It is written when the run has ended, and again when
// all other reporters are done, with what they could not report.
type JSON struct {
	o        JSONOptions
	timeline Timeline
}

var _ Flusher = (*JSON)(nil)

// NewJSON makes a JSON reporter.
func NewJSON(o JSONOptions) *JSON { return &JSON{o: o} }

// String names it.
func (j *JSON) String() string { return "the JSON report" }

// Report remembers an event, and writes the file at the end of the run.
func (j *JSON) Report(_ context.Context, e deploy.Event) error {
	j.timeline.Add(e)
	if e.Kind != deploy.RunEnded {
		return nil
	}
	return j.write()
}

// Flush writes the file, unless nothing has happened.
func (j *JSON) Flush(context.Context) error { return j.write() }

func (j *JSON) write() error {
	story := j.timeline.Story(j.o.Scrub)
	if len(story.Events) == 0 {
		return nil
	}
	story.asked(j.o.Calls)
	story.Cluster = clusterOf(j.o.Requests)
	content, err := json.MarshalIndent(story, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", j.o.Path, err)
	}
	if err := writeFile(j.o.Path, append(content, '\n')); err != nil {
		return deploy.Hinted(fmt.Errorf("write %s: %w", j.o.Path, err), "name a file in a folder that can be written to")
	}
	return nil
}

// writeFile replaces a file at once: nobody reads half of it.
func writeFile(path string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return withoutPath(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err := errors.Join(withoutPath(err), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return withoutPath(os.Rename(f.Name(), path))
}

// withoutPath leaves the name of the temporary file out of an error: it tells
// nobody anything, and makes the same error look like another the next time.
func withoutPath(err error) error {
	var at *os.PathError
	var moving *os.LinkError
	switch {
	case errors.As(err, &at):
		return at.Err
	case errors.As(err, &moving):
		return moving.Err
	}
	return err
}
