package bundle

import (
	"fmt"
	"slices"
	"strings"
)

// Notes are what people should know before the manifests are brought in, a
// sentence each.
func (b *Bundle) Notes() []string {
	var notes []string
	var hooks []string
	for _, h := range b.Set.Hooks {
		events := slices.DeleteFunc(slices.Clone(h.Events), func(e string) bool {
			return strings.HasPrefix(e, "test") || strings.Contains(e, "delete") || strings.Contains(e, "rollback")
		})
		if len(events) > 0 {
			hooks = append(hooks, fmt.Sprintf("%s (%s)", title(h.Object), strings.Join(events, ", ")))
		}
	}
	if len(hooks) > 0 {
		notes = append(notes, "hooks of the chart are not run: "+strings.Join(hooks, "; "))
	}
	if b.Rollout() {
		return notes
	}
	notes = append(notes, b.joint()...)
	return append(notes, fmt.Sprintf("each version of %s runs as a Deployment of its own; one called %s that is there already stays, and may be removed afterwards",
		title(b.App.Workload), b.App.Workload.GetName()))
}
