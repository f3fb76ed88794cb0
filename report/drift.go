package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Drift is how an environment differs from what was released there.
type Drift struct {
	// Found are the differences; none means that it is as it was released.
	Found []Difference `json:"found"`
	// Repaired says whether all of them were put back.
	Repaired bool `json:"repaired"`
}

// Difference is one field, or one object that is missing.
type Difference struct {
	// Object is its kind, place and name.
	Object string `json:"object"`
	// Change is how it differs.
	Change deploy.Change `json:"change"`
	// Field is its path; absent where the object is missing.
	Field string `json:"field,omitempty"`
	// Applied is the value that was released, in JSON.
	Applied string `json:"applied,omitempty"`
	// Live is the value that is there, in JSON.
	Live string `json:"live,omitempty"`
	// Manager is who changed it; absent where that is not known.
	Manager string `json:"manager,omitempty"`
	// Operation is how: Apply or Update.
	Operation string `json:"operation,omitempty"`
	// Subresource is that by which it was changed, such as scale.
	Subresource string `json:"subresource,omitempty"`
	// At is when the manager last wrote to the object.
	At time.Time `json:"at,omitzero"`
}

// differed keeps what was found in the environment.
func (e *Environment) differed(drift deploy.Drift) {
	e.Drift = &Drift{Found: []Difference{}, Repaired: drift.Repaired}
	for _, d := range drift.Found {
		e.Drift.Found = kept(e.Drift.Found, Difference(d))
	}
}

// drifted says in one line what was found; empty where nobody has looked.
func drifted(s *Story) string {
	var looked, differ []string
	found, repaired := 0, true
	for i := range s.Environments {
		e := &s.Environments[i]
		if e.Drift == nil {
			continue
		}
		looked = append(looked, e.Name)
		if n := len(e.Drift.Found); n > 0 {
			differ, found, repaired = append(differ, e.Name), found+n, repaired && e.Drift.Repaired
		}
	}
	names := func(all []string) string { return strings.Join(all[:min(maxListed, len(all))], ", ") }
	switch {
	case len(looked) == 0:
		return ""
	case found == 0:
		return s.Run.App + " is as it was released in " + names(looked)
	case repaired:
		return fmt.Sprintf("%s: %s put back in %s", s.Run.App, plural(uint64(found), "difference"), names(differ))
	}
	return fmt.Sprintf("%s: %s from what was released in %s", s.Run.App, plural(uint64(found), "difference"), names(differ))
}

// driftTables list what was found, by environment.
func driftTables(s *Story) string {
	var b strings.Builder
	for i := range s.Environments {
		e := &s.Environments[i]
		if e.Drift == nil || len(e.Drift.Found) == 0 {
			continue
		}
		what := "differs from what was released"
		if e.Drift.Repaired {
			what = "was put back"
		}
		b.WriteString("### What " + what + " in " + inline(e.Name, 60) + "\n\n| Object | Field | Released | Found | By |\n|---|---|---|---|---|\n")
		for _, d := range e.Drift.Found[:min(maxRows, len(e.Drift.Found))] {
			b.WriteString(driftRow(d))
		}
		b.WriteString(andMore(len(e.Drift.Found)) + "\n")
	}
	return b.String()
}

func driftRow(d Difference) string {
	live, by := codeCell(d.Live), deploy.Difference(d).By()
	switch d.Change {
	case deploy.DriftMissing:
		live = "missing"
	case deploy.DriftRemoved:
		live = "removed"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", inline(d.Object, 200), codeCell(d.Field), codeCell(d.Applied), live, inline(by, 200))
}

// drifted prints what was found, a line each.
func (c *Console) drifted(p *page, e deploy.Event) {
	if e.Drift == nil {
		return
	}
	mark := p.yellow("!")
	if len(e.Drift.Found) == 0 || e.Drift.Repaired {
		mark = p.green("✓")
	}
	p.line("  %s %s", mark, oneLine(e.Message, 400))
	for i, d := range e.Drift.Found {
		if i == maxRows {
			p.line("    … and %d more", len(e.Drift.Found)-maxRows)
			break
		}
		p.line("    %s", oneLine(d.String(), 1000))
	}
}
