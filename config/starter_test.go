package config_test

import (
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
)

// TestStarterIsValid holds the first file against the reader, whatever the
// folder is called.
func TestStarterIsValid(t *testing.T) {
	for folder, want := range map[string]string{
		"hello":                        "hello",
		"My App":                       "my-app",
		"web_shop.v2":                  "web-shop-v2",
		"--odd--":                      "odd",
		"Größe":                        "gr-e",
		"日本語":                          "app",
		"":                             "app",
		".":                            "app",
		"/":                            "app",
		`C:\x`:                         "c-x",
		"2048":                         "2048",
		"0x1f":                         "0x1f",
		"1e5":                          "1e5",
		"true":                         "true",
		"Null":                         "null",
		"no":                           "no",
		"a: b # c":                     "a-b-c",
		"a\nb":                         "a-b",
		"\xff\xfe":                     "app",
		strings.Repeat("x", 200):       strings.Repeat("x", 63),
		strings.Repeat("x", 62) + "-y": strings.Repeat("x", 62),
	} {
		t.Run(folder, func(t *testing.T) {
			f, err := config.Parse("slipway.yaml", config.Starter(folder), rules())
			if err != nil {
				t.Fatalf("Parse:\n%v", err)
			}
			if f.App.Name != want {
				t.Errorf("the app is called %q, want %q", f.App.Name, want)
			}
		})
	}
}

// TestStarterTeachesTheWay holds the first file to staging, then production by
// canary, and previews of pull requests.
func TestStarterTeachesTheWay(t *testing.T) {
	f, err := config.Parse("slipway.yaml", config.Starter("hello"), rules())
	if err != nil {
		t.Fatal(err)
	}
	environments := f.App.Environments
	if len(environments) != 2 || environments[0].Name != "staging" || environments[1].After != "staging" {
		t.Fatalf("environments are %+v", environments)
	}
	if f.App.Preview == nil {
		t.Error("pull requests get no preview")
	}
	for _, e := range environments {
		if len(e.Checks) == 0 {
			t.Errorf("%s has no checks", e.Name)
		}
	}
	if kind := environments[1].Strategy.Kind; kind != deploy.Canary {
		t.Errorf("production goes by %s", kind)
	}
}

// TestStarterNamesTheSchema holds the line for editors to the schema's address.
func TestStarterNamesTheSchema(t *testing.T) {
	if line := "\n# yaml-language-server: $schema=" + config.SchemaID + "\n"; !strings.Contains(string(config.Starter("hello")), line) {
		t.Errorf("there is no line%s", line)
	}
}

// TestWorkflowBuildsWhatStarterNames holds the two first files together.
func TestWorkflowBuildsWhatStarterNames(t *testing.T) {
	f, err := config.Parse("slipway.yaml", config.Starter("hello"), rules())
	if err != nil {
		t.Fatal(err)
	}
	if from := f.App.Build.Files[0].From; !strings.Contains(string(config.Workflow()), "-o "+from+" ") {
		t.Errorf("the workflow does not build %s", from)
	}
}
