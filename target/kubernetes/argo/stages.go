package argo

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// stage is where a Rollout stops, or goes on by itself after a while, before all
// users have the new version.
type stage struct {
	share deploy.Percent
	// at is the first step that waits: those before it are done when the stage is
	// reached.
	at int
	// hold is how long it waits by itself; forever: until somebody promotes.
	hold    time.Duration
	forever bool
}

// stages are those of a Rollout, in their order. One that never stops has none.
func (r *rollout) stages() ([]stage, error) {
	if bg := r.Spec.Strategy.BlueGreen; bg != nil {
		return bg.stages(), nil
	}
	if r.Spec.Strategy.Canary == nil {
		return nil, deploy.Usage("it needs strategy.canary or strategy.blueGreen", "the Rollout %s has no strategy", r.Name)
	}
	return r.Spec.Strategy.Canary.stages()
}

func (c *canary) stages() ([]stage, error) {
	var all []stage
	var share deploy.Percent
	for i, step := range c.Steps {
		if step.SetWeight != nil {
			share = c.percent(*step.SetWeight)
		}
		if step.Pause == nil {
			continue
		}
		hold, forever, err := step.Pause.length()
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		if share >= 100 {
			break // all users have it: nothing is left to decide
		}
		if n := len(all); n > 0 && all[n-1].share >= share {
			// More of the same share, or less again: one stage for people.
			all[n-1].hold += hold
			all[n-1].forever = all[n-1].forever || forever
			continue
		}
		all = append(all, stage{share: share, at: i, hold: hold, forever: forever})
	}
	return all, nil
}

func (b *blueGreen) stages() []stage {
	auto := b.AutoPromotionEnabled == nil || *b.AutoPromotionEnabled
	if auto && b.AutoPromotionSeconds == 0 {
		return nil
	}
	// Before the switch nobody has it, however long it waits.
	return []stage{{hold: time.Duration(b.AutoPromotionSeconds) * time.Second, forever: b.AutoPromotionSeconds == 0}}
}

// length of a pause.
func (p *pause) length() (d time.Duration, forever bool, err error) {
	if p.Duration == nil {
		return 0, true, nil
	}
	text := p.Duration.String()
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, false, nil
	}
	d, err = time.ParseDuration(text)
	if err != nil {
		return 0, false, fmt.Errorf("the pause %q is no duration", text)
	}
	return d, false, nil
}

// reached reports whether the Rollout has come to a share on the way to what its
// specification says.
func (r *rollout) reached(share deploy.Percent) bool {
	if r.promoted() {
		return true
	}
	if !r.seen() || r.Status.Abort || share >= 100 {
		return false
	}
	all, err := r.stages()
	if err != nil {
		return false
	}
	for _, s := range all {
		if s.share < share {
			continue
		}
		if r.Spec.Strategy.BlueGreen != nil {
			return len(r.Status.PauseConditions) > 0
		}
		// Before the controller has looked at a new template, the step is the old
		// one's: seen() excludes it.
		return r.step() >= s.at
	}
	return false
}

func told(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// aborted reports whether a message is of an abort. A retry leaves it behind for a
// moment.
func aborted(message string) bool { return strings.HasPrefix(message, "RolloutAborted") }
