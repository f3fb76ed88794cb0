package bundle

import (
	"fmt"
	"strings"
)

// Notes are what people should know before the manifests are brought in, a
// sentence each. Hooks says whether those of a chart are run.
func (b *Bundle) Notes(hooks bool) []string {
	var notes []string
	if all := b.hooks(); !hooks && len(all) > 0 {
		names := make([]string, len(all))
		for i, h := range all {
			names[i] = fmt.Sprintf("%s (%s)", h.Name(), strings.Join(h.Events, ", "))
		}
		notes = append(notes, "hooks of the chart are not run: "+strings.Join(names, "; "))
	}
	tests, others := b.notRun()
	if len(tests) > 0 {
		notes = append(notes, "what helm test runs is not run: "+strings.Join(tests, "; ")+"; checks ask a version before it has users")
	}
	if len(others) > 0 {
		notes = append(notes, "hooks of events that there are not are not run: "+strings.Join(others, "; "))
	}
	notes = append(notes, b.byHand()...)
	if b.Rollout() {
		return notes
	}
	notes = append(notes, b.joint()...)
	return append(notes, fmt.Sprintf("each version of %s runs as a Deployment of its own; one called %s that is there already stays, and may be removed afterwards",
		title(b.App.Workload), b.App.Workload.GetName()))
}
