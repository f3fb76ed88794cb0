package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/report"
	"github.com/slipway-ci/slipway/steps"
)

// reports are all those that are told what a run does.
type reports struct {
	hub *report.Hub
}

type raw struct{ c *CLI }

func (r raw) Report(_ context.Context, e deploy.Event) error {
	b, _ := json.Marshal(e)
	_, err := fmt.Fprintln(r.c.Stdout, string(b))
	return err
}

func (s *session) reports() *reports {
	return &reports{hub: report.NewHub(s.log, raw{s.CLI})}
}

func (r *reports) tell(ctx context.Context, e deploy.Event) { _ = r.hub.Report(ctx, e) }

// closeLimit bounds the time for reports that are still on their way to GitHub.
const closeLimit = 30 * time.Second

// close waits for the reports, also when the run was cancelled.
func (r *reports) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	_ = r.hub.Close(ctx)
}

func (s *session) outputs(*steps.Work, deploy.Outcome, *reports) {}
