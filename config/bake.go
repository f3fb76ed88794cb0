package config

import (
	"fmt"
	"reflect"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-ci/slipway/deploy"
)

// bake is a duration, or settings.
type bake struct{ baking }

// baking says how long a version is watched on, and by whom.
type baking struct {
	For *pause `yaml:"for" jsonschema:"required" jsonschema_description:"How long; bake: 30m is short for it."`
	By  *baker `yaml:"by" jsonschema_description:"Who watches: run (the release goes on until then), or schedule (it ends, and slipway reap, run on a schedule, goes back or finishes it). Left out: run."`
}

func (v *bake) read(r *reader, p place) bool {
	if _, isMap := p.value.(ast.MapNode); isMap {
		return r.fields(reflect.ValueOf(&v.baking).Elem(), p)
	}
	if !isString(p.value) {
		return r.wrong(p, "a duration from 0s to 24h, or a mapping of for and by", "")
	}
	v.For = new(pause)
	return v.For.read(r, p)
}

// into sets what is written.
func (v *bake) into(s *deploy.Strategy) {
	if v == nil || v.For == nil {
		return
	}
	s.Bake = time.Duration(*v.For)
	if v.By != nil && s.Bake > 0 {
		s.BakeBy = deploy.Baker(*v.By)
	}
}

type baker string

func (v *baker) read(r *reader, p place) bool { return readWord(r, p, v, wordsOf(deploy.Bakers)) }

// unbaked refuses a bake that nobody would finish: the reaper removes previews,
// and looks at no stage of theirs.
func (r *reader) unbaked(e *named, pattern deploy.Environment) {
	if pattern.Strategy.BakeBy != deploy.BakeBySchedule {
		return
	}
	var set *bake
	switch s := e.Strategy.set; {
	case s.BlueGreen != nil:
		set = s.BlueGreen.Bake
	case s.Canary != nil:
		set = s.Canary.Bake
	}
	r.add(r.at(set.By).mark(), Error{
		Message: fmt.Sprintf("by: no schedule watches previews, so %s would never end", deploy.PreviewName),
		Valid:   []string{string(deploy.BakeByRun)},
		Hint:    "write bake: 30m, or remove it",
	})
}
