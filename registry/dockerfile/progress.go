package dockerfile

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// kept is how many of its last lines a step that fails shows.
	kept = 20
	// pause is the least time between two lines that are told of steps that run.
	pause = 200 * time.Millisecond
)

// progress follows a build, and tells each step as it begins, writes and ends.
type progress struct {
	tell   func(deploy.Event)
	steps  map[digest.Digest]*step
	last   time.Time
	warned map[string]bool
}

// step is what is known of a step.
type step struct {
	name  string
	begun time.Time
	took  time.Duration
	// ended says that its end was told.
	ended bool
	err   string
	log   []string
	// rest is the beginning of a line whose end is still to come.
	rest []byte
}

func newProgress(tell func(deploy.Event)) *progress {
	return &progress{tell: tell, steps: map[digest.Digest]*step{}, warned: map[string]bool{}}
}

// follow takes what the builder says until it says no more.
func (p *progress) follow(status <-chan *client.SolveStatus) {
	for s := range status {
		for _, v := range s.Vertexes {
			p.vertex(v)
		}
		for _, l := range s.Logs {
			p.log(l)
		}
		for _, w := range s.Warnings {
			p.warning(w)
		}
	}
}

func (p *progress) step(id digest.Digest) *step {
	s, ok := p.steps[id]
	if !ok {
		s = &step{}
		p.steps[id] = s
	}
	return s
}

func (p *progress) vertex(v *client.Vertex) {
	s := p.step(v.Digest)
	s.name = strings.Join(strings.Fields(v.Name), " ")
	if v.Error != "" {
		s.err = v.Error
	}
	if v.Started != nil && s.begun.IsZero() {
		s.begun = *v.Started
		p.running(s, "")
	}
	if v.Completed == nil || s.ended {
		return
	}
	s.ended = true
	if v.Started != nil {
		s.took = v.Completed.Sub(*v.Started)
	}
	if s.hidden() || s.err != "" { // what failed is told with the build's end
		return
	}
	state := deploy.BuildDone
	if v.Cached {
		state = deploy.BuildCached
	}
	p.tell(deploy.Event{Kind: deploy.Building, Message: s.name, Took: s.took, Build: &deploy.BuildStep{State: state}})
}

// hidden is what people do not follow: the builder's own steps.
func (s *step) hidden() bool { return strings.HasPrefix(s.name, "[internal]") || s.name == "" }

func (p *progress) running(s *step, line string) {
	if s.hidden() || s.ended {
		return
	}
	p.tell(deploy.Event{Kind: deploy.Building, Message: s.name, Build: &deploy.BuildStep{State: deploy.BuildRunning, Line: line}})
}

func (p *progress) log(l *client.VertexLog) {
	s := p.step(l.Vertex)
	lines := bytes.Split(append(s.rest, l.Data...), []byte("\n"))
	s.rest = bytes.Clone(lines[len(lines)-1])
	if len(s.rest) > maxLine {
		s.rest = s.rest[:maxLine]
	}
	for _, line := range lines[:len(lines)-1] {
		s.log = append(s.log, shown(line))
	}
	s.log = slices.Delete(s.log, 0, max(0, len(s.log)-kept))
	if now := time.Now(); len(lines) > 1 && now.Sub(p.last) >= pause {
		p.last = now
		p.running(s, s.log[len(s.log)-1])
	}
}

// maxLine is the longest line that is kept, in bytes.
const maxLine = 2000

// shown is a line without what a program overwrote.
func shown(line []byte) string {
	line = bytes.TrimRight(line, "\r")
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return strings.ToValidUTF8(string(line[:min(len(line), maxLine)]), "�")
}

func (s *step) lines() []string {
	if len(s.rest) == 0 {
		return s.log
	}
	all := append(slices.Clone(s.log), shown(s.rest))
	return all[max(0, len(all)-kept):]
}

// warning tells what the builder finds about the Dockerfile, once.
func (p *progress) warning(w *client.VertexWarning) {
	message := string(w.Short)
	if w.SourceInfo != nil && len(w.Range) > 0 {
		message = place(w.SourceInfo.GetFilename(), int(w.Range[0].GetStart().GetLine())) + ": " + message
	}
	if p.warned[message] {
		return
	}
	p.warned[message] = true
	p.tell(deploy.Event{Kind: deploy.Warning, Message: message, Hint: w.URL})
}

// forgiven tells what went wrong in a build that did not fail of it: the cache
// could not be written or read. One that is not there yet is as it should be.
func (p *progress) forgiven() {
	for _, s := range p.steps {
		if s.err != "" && !strings.Contains(s.err, "not found") {
			p.tell(deploy.Event{Kind: deploy.Warning, Message: s.name + ": " + reason(errors.New(s.err)), Hint: "the image is as it should be; builds take longer without the cache"})
		}
	}
}

// failed is the step that failed, nil where none did. Steps that were ended
// because another one failed do not count.
func (p *progress) failed() *step {
	var found *step
	for _, s := range p.steps {
		if s.err == "" || strings.Contains(s.err, "context canceled") {
			continue
		}
		if found == nil || s.begun.After(found.begun) {
			found = s
		}
	}
	return found
}
