package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

func (c *CLI) statusCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "status", Short: "Show what is live in each environment", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.status(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.environmentFlag(f, "only these environments (default: all of the file)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (c *CLI) historyCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "history", Short: "Show what was deployed to each environment, newest first", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.history(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.environmentFlag(f, "only these environments (default: all of the file)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// appStatus is the form of `slipway status --json`.
type appStatus struct {
	App          string              `json:"app"`
	Environments []environmentStatus `json:"environments"`
}

type environmentStatus struct {
	Name      string         `json:"name"`
	URL       string         `json:"url"`
	Live      *versionStatus `json:"live"`
	Candidate *versionStatus `json:"candidate"`
	// Share of the users that the candidate has, in percent.
	Share float64 `json:"share"`
	// Baseline is what the candidate is compared with, where that is not Live
	// itself, and BaselineShare what it has of the users, in percent.
	Baseline      *versionStatus `json:"baseline,omitempty"`
	BaselineShare float64        `json:"baselineShare,omitempty"`
	// Outcome of the last deployment that has ended, and the run that made it.
	Outcome deploy.Outcome `json:"outcome"`
	Run     string         `json:"run"`
	Since   *time.Time     `json:"since"`
	// Phase is set while a rollout is under way or was left unfinished.
	Phase deploy.Phase `json:"phase,omitempty"`
	// Held says why a rollout waits for a person; empty where none does.
	Held string `json:"held,omitempty"`
	// Watched says until when scheduled runs look at the live version; empty
	// where none does.
	Watched string       `json:"watched,omitempty"`
	Lock    *deploy.Lock `json:"lock,omitempty"`
}

type versionStatus struct {
	Version  string `json:"version"`
	Image    string `json:"image"`
	Digest   string `json:"digest"`
	Revision string `json:"revision"`
	// Ready of Replicas can serve.
	Ready    int `json:"ready"`
	Replicas int `json:"replicas"`
}

func (c *CLI) status(ctx context.Context, o options) error {
	states, s, err := c.states(ctx, o)
	if err != nil {
		return err
	}
	all := appStatus{App: s.file.App.Name, Environments: []environmentStatus{}}
	for _, st := range states {
		all.Environments = append(all.Environments, summarize(st))
	}
	if o.json {
		return c.printJSON(all)
	}
	return c.printStatus(all)
}

// named is an environment's state.
type named struct {
	name  string
	state deploy.State
}

// states reads the chosen environments and starts nothing.
func (c *CLI) states(ctx context.Context, o options) ([]named, *session, error) {
	o.dryRun = true
	s, err := c.open(o, "status")
	if err != nil {
		return nil, nil, err
	}
	environments, err := o.choose(s.file.App)
	if err != nil {
		return nil, nil, err
	}
	var all []named
	for _, env := range environments {
		state, err := s.look(ctx, env)
		if err != nil {
			return nil, nil, &ended{err: fmt.Errorf("read %s: %w", env.Name, err), outcome: deploy.Unknown}
		}
		all = append(all, named{env.Name, state})
	}
	return all, s, nil
}

func (s *session) look(ctx context.Context, env deploy.Environment) (deploy.State, error) {
	target, err := s.target(ctx, s.file.App.Name, env)
	if err != nil {
		return deploy.State{}, err
	}
	return target.State(ctx)
}

func summarize(n named) environmentStatus {
	s := n.state
	e := environmentStatus{Name: n.name, URL: s.URL, Share: float64(s.Share), Lock: s.Lock}
	e.Live, e.Candidate = versionOf(s, s.Live), versionOf(s, s.Candidate)
	e.Baseline, e.BaselineShare = versionOf(s, s.Baseline), float64(s.BaselineShare)
	if s.Record.Unfinished() {
		e.Phase = s.Record.Phase
	}
	if s.Record.Held() {
		e.Held = rollout.Held(s.Record)
	}
	if s.Record.Baking() {
		e.Watched = rollout.Watched(s.Record)
	}
	if len(s.History) > 0 {
		last := s.History[len(s.History)-1]
		e.Outcome, e.Run, e.Since = last.Outcome, last.Owner.Run, &last.At
	}
	return e
}

func versionOf(s deploy.State, r *deploy.Revision) *versionStatus {
	if r == nil {
		return nil
	}
	running, _ := s.Find(r.ID)
	return &versionStatus{
		Version: r.Image.Version, Image: r.Image.Reference(), Digest: r.Image.Digest, Revision: r.ID,
		Ready: running.Ready(), Replicas: r.Config.Replicas,
	}
}

func (c *CLI) printJSON(v any) error {
	enc := json.NewEncoder(c.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (c *CLI) printStatus(all appStatus) error {
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ENVIRONMENT\tLIVE\tREPLICAS\tCANDIDATE\tLAST\tURL")
	for _, e := range all.Environments {
		live, replicas := "nothing", "-"
		if e.Live != nil {
			live, replicas = e.Live.Version, fmt.Sprintf("%d/%d", e.Live.Ready, e.Live.Replicas)
		}
		candidate := "-"
		if e.Candidate != nil {
			candidate = fmt.Sprintf("%s at %s", e.Candidate.Version, deploy.Percent(e.Share))
		}
		if e.Baseline != nil {
			candidate += fmt.Sprintf(", baseline at %s", deploy.Percent(e.BaselineShare))
		}
		last := "-"
		if e.Since != nil {
			last = fmt.Sprintf("%s %s ago", e.Outcome, age(*e.Since))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, live, replicas, candidate, last, orDash(e.URL))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, e := range all.Environments {
		c.printConcern(e)
	}
	return nil
}

// printConcern says what a person should know about an environment.
func (c *CLI) printConcern(e environmentStatus) {
	switch {
	case e.Lock != nil:
		_, _ = fmt.Fprintf(c.Stdout, "\n%s\n", (&deploy.Locked{Environment: e.Name, Lock: *e.Lock}).Error())
	case e.Held != "":
		_, _ = fmt.Fprintf(c.Stdout, "\n%s: %s\n  → %s\n", e.Name, e.Held, rollout.Decide(e.Name))
	case e.Watched != "":
		_, _ = fmt.Fprintf(c.Stdout, "\n%s: %s\n  → %s\n", e.Name, e.Watched, rollout.EndBake(e.Name))
	case e.Phase != "":
		_, _ = fmt.Fprintf(c.Stdout, "\n%s: a rollout was left in phase %q; finish it with: slipway settle --environment %s\n", e.Name, e.Phase, e.Name)
	}
}

func (c *CLI) history(ctx context.Context, o options) error {
	states, _, err := c.states(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		all := map[string][]deploy.Record{}
		for _, st := range states {
			all[st.name] = historyOf(st.state)
		}
		return c.printJSON(all)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ENVIRONMENT\tWHEN\tOPERATION\tVERSION\tREPLACED\tSTRATEGY\tOUTCOME\tBY\tREASON")
	for _, st := range states {
		for _, r := range slices.Backward(historyOf(st.state)) {
			replaced := "-"
			if !r.Previous.IsZero() {
				replaced = r.Previous.Image.Version
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", st.name, r.At.UTC().Format(time.DateTime), r.Operation,
				r.Candidate.Image.Version, replaced, r.Strategy.Kind, cmp.Or(string(r.Outcome), string(r.Phase)), r.Owner.Who, firstLine(r.Reason))
		}
	}
	return w.Flush()
}

// historyOf is what was deployed: what has ended, and last what is watched on.
func historyOf(s deploy.State) []deploy.Record {
	if !s.Record.Baking() {
		return s.History
	}
	record := s.Record
	record.Reason = rollout.Watched(record)
	return append(slices.Clone(s.History), record)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age is a time ago in its largest unit.
func age(t time.Time) string {
	switch d := time.Since(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
