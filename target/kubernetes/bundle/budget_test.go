package bundle_test

import (
	"strings"
	"testing"
)

// A budget of a user's own selects the pods of both versions, by labels that both
// have. It is told where that may leave one version without any.
func TestBudgetsThatCountBothVersions(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		told bool
	}{
		"so many stay":         {"{minAvailable: 1, selector: {matchLabels: {app: web}}}", true},
		"all that there are":   {"{minAvailable: 50%, selector: {}}", true},
		"so many go":           {"{maxUnavailable: 1, selector: {matchLabels: {app: web}}}", false},
		"of somebody else":     {"{minAvailable: 1, selector: {matchLabels: {app: worker}}}", false},
		"of nobody":            {"{minAvailable: 1}", false},
		"what is not a budget": {"{minAvailable: [], selector: {matchLabels: {app: web}}}", false},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := read(t, shop+"---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: keep}\nspec: "+c.spec+"\n")
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(b.Notes(true), "\n"); strings.Contains(notes, "PodDisruptionBudget/keep counts the pods of both versions") != c.told {
				t.Errorf("it is told: %s", notes)
			}
		})
	}
}
