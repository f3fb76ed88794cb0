package acttest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// secret looks different in every encoding.
const secret = `p&ss "w0rd"/+é<x>\tail`

// telling is an app that prints the secret when it starts, and a check that
// prints it in every way that comes to mind.
const telling = `app: hello
build:
  files:
    - {from: bin/app, to: /hello}
  entrypoint: [/hello, -tell, API_KEY%s]
service: {health: /healthz, drain: 1s, secrets: [API_KEY]}
checks:
  - {name: tells, run: [sh, tell.sh], attempts: 1}
environments:
  staging: {target: sandbox}
`

// leaks are the forms of a secret in a text.
func leaks(text string) []string {
	var found []string
	for name, form := range forms() {
		if strings.Contains(text, form) {
			found = append(found, name)
		}
	}
	for _, word := range regexp.MustCompile(`[A-Za-z0-9+/_-]{8,}`).FindAllString(text, -1) {
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(word)
		// A word may begin in the middle of a group.
		for skip := range 4 {
			decoded, _ := base64.RawStdEncoding.DecodeString(standard[skip:])
			if strings.Contains(string(decoded), secret[3:len(secret)-3]) {
				found = append(found, "base64: "+word)
			}
		}
	}
	return found
}

func forms() map[string]string {
	plain, _ := json.Marshal(secret)
	return map[string]string{
		"plain": secret,
		"query": url.QueryEscape(secret),
		"path":  url.PathEscape(secret),
		"JSON":  strings.Trim(string(plain), `"`),
		"Go":    strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"hex":   hex.EncodeToString([]byte(secret)),
	}
}

func TestLeaksAreSeen(t *testing.T) {
	for name, form := range forms() {
		if len(leaks("x"+form+"x")) == 0 {
			t.Errorf("%s is not seen", name)
		}
	}
	for _, before := range []string{"", "a", "ab", "abc:"} {
		if len(leaks("x "+base64.URLEncoding.EncodeToString([]byte(before+secret+"!")))) == 0 {
			t.Errorf("base64 after %q is not seen", before)
		}
	}
	if found := leaks("nothing of it: p&ss, w0rd"); len(found) != 0 {
		t.Errorf("seen: %q", found)
	}
}

// act itself is told to hide nothing, so that all that is hidden is our doing.
func TestSecretIsSeenNowhere(t *testing.T) {
	s := newScene(t, open(t), fmt.Sprintf(telling, ""))
	script := "printf 'plain %s\\n' \"$API_KEY\"\nprintf 'user:%s' \"$API_KEY\" | base64\n"
	for name, form := range forms() {
		script += fmt.Sprintf("cat <<'END'\n%s %s\nEND\n", name, form)
	}
	s.write("workspace/tell.sh", script+"exit 1\n")
	s.build("./target/targettest/testapp", "")
	for name, file := range map[string]string{
		"a check that prints it":                 fmt.Sprintf(telling, ""),
		"an app that prints it and cannot start": fmt.Sprintf(telling, ", -exit, '3'"),
	} {
		s.write("workspace/slipway.yaml", file)
		o := pushedAsIs(s)
		o.secrets = map[string]string{"API_KEY": secret}
		o.flags = []string{"--insecure-secrets"}
		r := s.act(o)
		if r.succeeded() {
			t.Errorf("%s: the job succeeded", name)
		}
		// Something of it has to be there to be hidden.
		inOrder(t, name+": the log", []string{`\*\*\*`}, r.says("Main"))
		masked := 0
		for _, e := range r.log {
			if e.Command == "add-mask" { // what hides it has to name it
				masked++
				continue
			}
			if found := leaks(e.raw); len(found) > 0 {
				t.Errorf("%s: the log tells the secret (%s): %s", name, found, e.raw)
			}
		}
		if masked == 0 {
			t.Errorf("%s: the runner was not asked to hide anything", name)
		}
		report, err := os.ReadFile(filepath.Join(s.workspace, "slipway-report.json"))
		if err != nil {
			t.Fatal(err)
		}
		if found := leaks(string(report)); len(found) > 0 {
			t.Errorf("%s: the report tells the secret (%s): %s", name, found, report)
		}
	}
	kept, err := json.Marshal([]any{s.hub.Comments(), s.hub.Deployments()})
	if err != nil {
		t.Fatal(err)
	}
	if found := leaks(string(kept)); len(found) > 0 {
		t.Errorf("GitHub was told the secret (%s): %s", found, kept)
	}
}
