package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// The limits of what is done again and again.
const (
	startLimit     = 50 * time.Millisecond
	unchangedLimit = 300 * time.Millisecond
)

// binaryStart measures the shortest command that there is.
func (b *bench) binaryStart(ctx context.Context) error {
	times, err := repeat(b.rounds(100, 10), func() (workshop.Result, error) { return b.Run(ctx, nil, "version") })
	if err != nil {
		return err
	}
	b.below("start of the binary (slipway version)", times, 0.5, startLimit)
	return nil
}

// unchangedCommit measures a release of a commit that is live already, through
// two environments: the version comes from git, the image is packed again and
// found to be there, and nothing is deployed.
func (b *bench) unchangedCommit(ctx context.Context) error {
	yaml := fmt.Sprintf(app, 2) + "  staging: {target: sandbox}\n  production: {target: sandbox, after: staging}\n"
	if err := b.Configure(yaml); err != nil {
		return err
	}
	if err := b.Use("1.0.0"); err != nil {
		return err
	}
	if err := commit(b.Dir); err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(b.Dir, ".git"))
	release := func() (workshop.Result, error) { return b.Deploy(ctx, nil, "release", "--strategy", "recreate") }
	if _, err := repeat(1, release); err != nil {
		return err
	}
	times, err := repeat(b.rounds(50, 5), func() (workshop.Result, error) {
		r, err := release()
		if err == nil && r.Code == 0 && r.Report.Outcome != "unchanged" {
			err = fmt.Errorf("%s has the outcome %s, not unchanged", r.Command, r.Report.Outcome)
		}
		return r, err
	})
	if err != nil {
		return err
	}
	b.below("release of an unchanged commit", times, 0.5, unchangedLimit)
	return nil
}

// repeat runs a command so many times, each of which has to succeed.
func repeat(rounds int, run func() (workshop.Result, error)) ([]time.Duration, error) {
	var times []time.Duration
	for range rounds {
		r, err := run()
		if err == nil {
			err = r.Exits(0)
		}
		if err != nil {
			return nil, err
		}
		times = append(times, r.Took)
	}
	return times, nil
}

// commit makes a git repository of a folder, with slipway.yaml in it. As in
// most repositories, what is built is not.
func commit(dir string) error {
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		return fmt.Errorf("make a git repository: %w", err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		return err
	}
	if _, err := tree.Add("slipway.yaml"); err != nil {
		return err
	}
	_, err = tree.Commit("Begin", &git.CommitOptions{Author: &object.Signature{Name: "bench", Email: "bench@example.com", When: time.Now()}})
	return err
}
