package report

import (
	"github.com/slipway-ci/slipway/deploy"
)

// buildColumn is as wide as most instructions of a Dockerfile are.
const buildColumn = 56

// building prints the steps of a Dockerfile as they end. The one that runs is
// the live line; where there is none, a step that takes long is printed now and
// then with the last line that it wrote.
func (c *Console) building(p *page, e deploy.Event) {
	if e.Build == nil {
		return
	}
	name := oneLine(e.Message, buildColumn)
	switch e.Build.State {
	case deploy.BuildRunning:
		c.stillBuilding(p, e, name)
	case deploy.BuildCached:
		c.showed = e.At
		p.line("    %s %s", p.green("="), columns(name, "cached", ""))
	case deploy.BuildDone:
		c.showed = e.At
		p.line("    %s %s", p.green("✓"), columns(name, orElse(took(e.Took), "0ms"), ""))
	case deploy.BuildFailed:
		p.line("    %s %s", p.cross(), columns(name, took(e.Took), ""))
		p.evidence(e.Evidence)
	}
}

func (c *Console) stillBuilding(p *page, e deploy.Event, name string) {
	line := name
	if e.Build.Line != "" {
		line += "  " + p.dim(oneLine(e.Build.Line, 200))
	}
	if c.o.Terminal {
		p.progress = "    " + p.yellow("◆") + " " + line
		return
	}
	if e.At.Sub(c.showed) < progressEvery {
		return
	}
	c.showed = e.At
	p.line("    … %s", line)
}
