package main

import (
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/rogpeppe/go-internal/testscript"
)

// gitCommand makes a repository of the script's working folder: init begins
// one on the branch main, commit records all files, tag names the last commit.
func gitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: git init|commit [MESSAGE]|tag NAME|branch NAME [AT]")
	}
	dir := ts.MkAbs(".")
	if args[0] == "init" {
		_, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{
			InitOptions: git.InitOptions{DefaultBranch: "refs/heads/main"},
		})
		ts.Check(err)
		return
	}
	repo, err := git.PlainOpen(dir)
	ts.Check(err)
	switch {
	case args[0] == "commit" && len(args) <= 2:
		commit(ts, repo, append(args[1:], "change")[0])
	case args[0] == "branch" && len(args) <= 3:
		at, err := repo.ResolveRevision(plumbing.Revision(append(args, "HEAD")[2]))
		ts.Check(err)
		tree, err := repo.Worktree()
		ts.Check(err)
		ts.Check(tree.Checkout(&git.CheckoutOptions{Branch: plumbing.NewBranchReferenceName(args[1]), Create: true, Keep: true, Hash: *at}))
	case args[0] == "tag" && len(args) == 2:
		head, err := repo.Head()
		ts.Check(err)
		_, err = repo.CreateTag(args[1], head.Hash(), nil)
		ts.Check(err)
	default:
		ts.Fatalf("git does not know %q", args)
	}
}

func commit(ts *testscript.TestScript, repo *git.Repository, message string) {
	tree, err := repo.Worktree()
	ts.Check(err)
	ts.Check(tree.AddGlob("."))
	who := &object.Signature{Name: "Tester", Email: "tester@example.com", When: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)}
	_, err = tree.Commit(message, &git.CommitOptions{Author: who, Committer: who, AllowEmptyCommits: true})
	ts.Check(err)
}
