package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

const configuration = `app: hello
build:
  files: [{from: hello, to: /hello}]
  entrypoint: [/hello]
service: {health: /healthz, replicas: 2}
checks:
  - {name: home, get: /, expect: 'status == 200 && body.contains("hello")'}
environments:
  staging:    {target: sandbox, strategy: recreate}
  production: {target: sandbox, after: staging,
               strategy: {canary: {steps: [10%, 50%, 100%], hold: 2s}}}
`

// bad is the version of which a tenth of the requests fails.
const bad = "1.2.0"

var builds = []workshop.Build{{Version: "1.0.0"}, {Version: "1.1.0"}, {Version: bad, Fails: 10}}

// perSecond is how many requests the users send.
const perSecond = 500

// demo is one showing.
type demo struct {
	*workshop.Workshop
	out *screen
	// url is production's.
	url   string
	users *workshop.Users
	// rows are what users got in each act, for the closing table.
	rows []row
	// back and seen are how long the way back took: as slipway reports it, and
	// until the last request was sent that the bad version answered.
	back, seen time.Duration
}

// act is one part of the demo.
type act struct {
	title, about string
	// command is what is run, and code how it has to exit.
	command string
	code    int
	// before prepares, after looks at what came of it.
	before func() error
	after  func(workshop.Result) error
}

func (d *demo) acts() []act {
	return []act{
		{
			title: "1. A first release",
			about: "One image: it is deployed to staging, and then the same digest to production.",

			command: "release --version 1.0.0",
			before:  func() error { return d.Use("1.0.0") },
			after:   d.meetUsers,
		},
		{
			title: "2. A canary",
			about: "Users send 500 requests a second. 10%, then 50%, then all of them get 1.1.0.",

			command: "release --version 1.1.0",
			before:  func() error { return d.Use("1.1.0") },
		},
		{
			title: "3. A bad version",
			about: "1.2.0 starts well and passes its check, but fails a tenth of its requests.",

			command: "release --version " + bad, code: 3,
			before: func() error { return d.Use(bad) },
			after:  d.timeTheWayBack,
		},
		{
			title: "4. A rollback by hand",
			about: "1.1.0 was fine, but say that somebody wants 1.0.0 back.",

			command: "rollback --environment production",
		},
	}
}

func (d *demo) play(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	for _, a := range d.acts() {
		if err := d.perform(ctx, a); err != nil {
			d.dismiss()
			return err
		}
	}
	d.dismiss()
	return d.close()
}

func (d *demo) prepare(ctx context.Context) error {
	if err := d.Build(ctx, builds...); err != nil {
		return err
	}
	d.out.line("This is slipway.yaml:\n")
	for line := range strings.Lines(configuration) {
		d.out.line("  %s", strings.TrimRight(line, "\n"))
	}
	return d.Configure(configuration)
}

// perform runs an act's command while users go on sending requests, and a
// moment longer, so that they are seen on the version that is live then.
func (d *demo) perform(ctx context.Context, a act) error {
	if a.before != nil {
		if err := a.before(); err != nil {
			return err
		}
	}
	d.out.title(a.title)
	d.out.line("%s", a.about)
	d.out.command("slipway " + a.command)
	before := d.count()
	r, err := d.Deploy(ctx, d.out.Writer, strings.Fields(a.command)...)
	if err == nil {
		err = r.Exits(a.code)
	}
	if err != nil {
		return err
	}
	if d.users != nil {
		if err := workshop.Pause(ctx, time.Second); err != nil {
			return err
		}
		d.record(a.title, d.count().Since(before))
	}
	if a.after == nil {
		return nil
	}
	return a.after(r)
}

// meetUsers lets users come to production, which from now on never ends.
func (d *demo) meetUsers(r workshop.Result) error {
	d.url = r.Report.URL("production")
	if d.url == "" {
		return fmt.Errorf("%s does not say where production is", r.Command)
	}
	d.users = workshop.Send(d.url, perSecond)
	return nil
}

// dismiss ends the users' requests, so that none meets the end of the sandbox.
func (d *demo) dismiss() {
	if d.users != nil {
		d.users.End()
	}
}

func (d *demo) count() workshop.Count {
	if d.users == nil {
		return workshop.Count{}
	}
	return d.users.Count()
}

// timeTheWayBack reads how long it took from the decision until users were
// back, and holds it against what the users themselves saw.
func (d *demo) timeTheWayBack(r workshop.Result) error {
	decided, took, ok := r.Report.Back("production")
	if !ok {
		return fmt.Errorf("%s reports no way back", r.Command)
	}
	d.back = took
	d.seen = max(0, d.users.Count().Last[bad].Sub(decided))
	return nil
}
