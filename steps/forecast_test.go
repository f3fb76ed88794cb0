package steps

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// Changed fields come first, and what is too much for a screen is counted.
func TestObjectsOfAPlan(t *testing.T) {
	f := &deploy.Forecast{
		Objects: []deploy.ObjectForecast{
			{Object: "ConfigMap shop/settings", Fate: deploy.FateChanged, Fields: []deploy.FieldForecast{
				{Field: ".data.HOST", From: `"db1"`, To: `"db2"`}, {Field: ".data.NEW", To: `"1"`}, {Field: ".data.OLD", From: `"1"`},
			}},
			{Object: "CronJob shop/report", Fate: deploy.FateMade},
			{Object: "Secret shop/key", Fate: deploy.FateChanged, Fields: []deploy.FieldForecast{{Field: ".data.KEY", From: "(hidden)", To: "(hidden)"}}},
			{Object: "Service shop/old", Fate: deploy.FateRemoved},
			{Object: "Service shop/web", Fate: deploy.FateChanged, Taken: []string{`Service shop/web: .spec.type is owned by "kubectl" (Update)`}},
		},
		Unchanged: 12, Unknown: []string{"Role shop/x: it is forbidden"}, Warnings: []string{"v1beta1 will go"},
	}
	want := []string{
		"objects: 3 would change, 1 be made, 1 be removed; 12 stay as they are",
		`~ ConfigMap shop/settings .data.HOST: "db1" → "db2"`,
		`~ ConfigMap shop/settings .data.NEW: added "1"`,
		`~ ConfigMap shop/settings .data.OLD: removed "1"`,
		"~ Secret shop/key .data.KEY: changed (hidden)",
		`! taken over: Service shop/web: .spec.type is owned by "kubectl" (Update)`,
		"+ CronJob shop/report", "- Service shop/old",
		"? not known: Role shop/x: it is forbidden", "! the cluster warns: v1beta1 will go",
	}
	if got := objects(f, false); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := objects(nil, false); got != nil {
		t.Errorf("of a target that does not know, it says %q", got)
	}
	for i := range 30 {
		f.Objects = append(f.Objects, deploy.ObjectForecast{Object: fmt.Sprint("Job shop/", i), Fate: deploy.FateMade})
	}
	short, all := objects(f, false), objects(f, true)
	if len(short) != 22 || len(all) != 40 || short[21] != "… and 19 more lines: slipway plan --verbose shows them" {
		t.Errorf("%d lines, %d of all; the last is %q", len(short), len(all), short[len(short)-1])
	}
}
