package targettest

import (
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
)

// secretive is a revision with a secret, and with a variable that its image
// sets, too.
func (w *world) secretive(version, secret string) deploy.Revision {
	s := service()
	s.Env = map[string]string{"WHO": version, "OVERRIDDEN": "configuration of " + version, "ODD": "a=b \"c\" $d 'é'\n"}
	img := Image(w, "-name", version)
	return w.revisionOf(Push(w, img, w.driver.Repository, version), s, deploy.NewSecret(App, w.name, "KEY", secret))
}

// sees checks the variables of whoever answers at a URL.
func (w *world) sees(url, version, secret string) {
	w.Helper()
	for name, want := range map[string]string{
		"WHO": version, "OVERRIDDEN": "configuration of " + version, "FROM_IMAGE": "image",
		"ODD": "a=b \"c\" $d 'é'\n", "KEY": secret, "MISSING": "",
	} {
		if got := w.ask(url + "/env?" + name); got != want {
			w.Errorf("%s sees %s=%q, not %q", version, name, got, want)
		}
	}
	if port := w.ask(url + "/env?PORT"); port == "" {
		w.Errorf("nobody tells %s its port", version)
	}
}

func ownContent(w *world) {
	a, b := w.secretive("1.0.0", "the first secret"), w.secretive("1.1.0", "the second secret")
	w.bring(a)
	w.start(b)
	s := w.state()
	if running, _ := s.Find(b.ID); running.URL != "" {
		w.sees(running.URL, "1.1.0", "the second secret")
	}
	w.sees(s.URL, "1.0.0", "the first secret")
	w.makeLive(b)
	w.sees(s.URL, "1.1.0", "the second secret")
	w.makeLive(a)
	w.sees(s.URL, "1.0.0", "the first secret")
}

// secretsKnown goes back to a version by what the history says of it.
func secretsKnown(w *world) {
	j := as[deploy.Journal](w)
	a, b := w.secretive("1.0.0", "the first secret"), w.secretive("1.1.0", "the second secret")
	w.bring(a)
	w.write(j, deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: a})
	w.bring(b)
	w.stop(a)
	w.write(j, deploy.Record{Version: 1, Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: b, Previous: a})
	past := w.state().History[0].Candidate
	if past.ID != a.ID || fmt.Sprint(past.Secrets) != fmt.Sprint(a.Secrets) || past.Secrets[0].Reveal() != "" {
		w.Fatalf("the history has %v of %s with %v", past, past.Image, past.Secrets)
	}
	w.sees(w.bring(past).URL, "1.0.0", "the first secret")
	w.stop(b)
}
