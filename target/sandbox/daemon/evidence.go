package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// moreTime is a hint.
const moreTime = "start-timeout in slipway.yaml allows an app more time"

// shortSecret is the length below which a secret is not looked for in logs:
// hiding "1" or "on" would hide half of them.
const shortSecret = 4

// evidence is about the replica of a revision that fared worst.
func (e *environment) evidence(r deploy.Revision) deploy.Evidence {
	e.mu.Lock()
	defer e.mu.Unlock()
	run, runs := e.runs[r.ID]
	if !runs || run.worst() == nil {
		return deploy.Evidence{Reason: "no replica runs"}
	}
	return run.worst().evidence()
}

// evidence is what is known of the replica; mu is held.
func (x *replica) evidence() deploy.Evidence {
	reason := x.trouble
	switch {
	case x.doom != nil:
		reason = x.doom.reason
	case reason == "" && x.restarts > 0:
		reason = fmt.Sprintf("is %s after %d restarts", x.status, x.restarts)
	case reason == "":
		reason = fmt.Sprintf("is %s", x.status)
	}
	return deploy.Evidence{Replica: x.name, Reason: reason, Log: x.tail()}
}

// tail is the end of the replica's log, without the values of its secrets.
func (x *replica) tail() []string {
	lines, err := x.log.Tail(logLines)
	if err != nil {
		return []string{"the log cannot be read: " + err.Error()}
	}
	for _, s := range x.run.revision.Secrets {
		value := x.run.env.secrets[s.String()]
		if len(value) < shortSecret {
			continue
		}
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], value, "***")
		}
	}
	return lines
}

// doomed is the error of a replica that will never be ready.
func (x *replica) doomed() *deploy.Doomed {
	return &deploy.Doomed{Revision: x.run.revision, Evidence: x.evidence(), Hint: x.doom.hint}
}

// late is the error of a replica that was not ready in time.
func (x *replica) late() *deploy.Doomed {
	evidence := x.evidence()
	c := x.run.revision.Config
	asked := "connections"
	if c.Health != "" {
		asked = "GET " + c.Health
	}
	evidence.Reason = fmt.Sprintf("did not answer %s within %s", asked, timeout(x.run.revision))
	if x.trouble != "" {
		evidence.Reason += ": " + x.trouble
	}
	return &deploy.Doomed{
		Revision: x.run.revision, Evidence: evidence,
		Hint: "look at the log; " + moreTime,
	}
}

// pruneLogs removes the logs of revisions that nothing refers to any more.
func pruneLogs(dir string, needed map[string]bool, log *slog.Logger) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // there are none yet
	}
	for _, entry := range entries {
		if needed[entry.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			log.Warn("remove logs", "error", err)
		}
	}
}
