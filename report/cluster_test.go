package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a run asked of clusters is one line of the log, and all of it in JSON.
func TestRequestsToClustersAreTold(t *testing.T) {
	asked := map[string]int{"watch pods": 2, "get configmaps": 5, "list pods": 1, "create deployments": 1, "get /version": 1}
	requests := func() map[string]int { return asked }
	path := filepath.Join(t.TempDir(), "report.json")
	if errs := run(t, NewJSON(JSONOptions{Path: path, Requests: requests}), tellPromoted()); len(errs) > 0 {
		t.Fatal(errs)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var story Story
	if err := json.Unmarshal(text, &story); err != nil {
		t.Fatal(err)
	}
	if c := story.Cluster; c == nil || c.Requests != 10 || len(c.Asked) != 5 || c.Asked[0] != (Asked{What: "get configmaps", Times: 5}) {
		t.Errorf("got %+v", c)
	}
	want := "  cluster:  10 requests to the API server: 7 read, 2 watch, 1 write\n"
	if got := show(t, tellPromoted(), ConsoleOptions{Requests: requests}); !strings.Contains(got, want) {
		t.Errorf("%s\ndoes not say %q", got, want)
	}
	asked = nil
	if got := show(t, tellPromoted(), ConsoleOptions{Requests: requests}); strings.Contains(got, "API server") {
		t.Errorf("nothing was asked, and yet:\n%s", got)
	}
}
