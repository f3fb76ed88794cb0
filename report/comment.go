package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
)

const commentPermission = "pull-requests: write"

const (
	// maxComment is below GitHub's limit of 65,536 characters; counting bytes
	// is on the safe side.
	maxComment = 65000
	// editSoon is how long it takes at least until the comment is edited for the
	// first time, each further time twice as long, up to editLate; and retryEvery
	// where the last edit has failed.
	editSoon   = 5 * time.Second
	editLate   = time.Minute
	retryEvery = 30 * time.Second
	// maxPages bounds the search for the comment: 100 comments each.
	maxPages = 30
)

// CommentOptions shape the comment.
type CommentOptions struct {
	// PullRequest is the number, where the event tells it; 0 lets GitHub say
	// which pull request the commit belongs to.
	PullRequest int
	// Statuses: a Status has requests of its own to make.
	Statuses bool
	Scrub    Scrub
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Comment keeps one comment on the pull request that the commit belongs to. It
// finds it again by a mark that readers do not see, among the comments that
// this token's own user has written, and edits it in place. Where two runs have
// made one at the same time, the older one stays. A commit that belongs to no
// pull request has no comment, nor has a run that came to no environment.
type Comment struct {
	github   *forge.Client
	o        CommentOptions
	timeline Timeline
	// number of the pull request, once known; -1 where there is none.
	number int
	// id of the comment, once known.
	id int64
	// next is when it may be edited again, pace how long after that the next
	// time, and body what it was last.
	next time.Time
	pace time.Duration
	body string
	// behind: something has happened since that the comment should tell.
	behind bool
	denied bool
	// login of the token's user, once asked for; empty where it may not ask.
	login *string
}

var _ Slow = (*Comment)(nil)

// NewComment makes a Comment reporter.
func NewComment(g *forge.Client, o CommentOptions) *Comment {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Comment{github: g, o: o, number: o.PullRequest}
}

// String names it.
func (c *Comment) String() string { return "the pull request" }

// Slow marks it.
func (c *Comment) Slow() {}

// Report remembers an event, and edits the comment when there is something new
// to tell, the last edit is long enough ago, and there is room for one more
// request besides those that the run is going to need in any case.
func (c *Comment) Report(ctx context.Context, e deploy.Event) error {
	c.timeline.Add(e)
	switch e.Kind {
	case deploy.RolloutStarted, deploy.StageStarted, deploy.Reverting, deploy.TrafficBack, deploy.RolloutEnded, deploy.Removed, deploy.RunEnded:
		c.behind = true
	}
	if !c.behind || c.denied || c.o.Now().Before(c.next) {
		return nil
	}
	story := c.timeline.Story(c.o.Scrub)
	if c.id != 0 && story.room(c.github.Calls()) <= story.owed(c.o.Statuses) {
		c.rest()
		return nil
	}
	return c.write(ctx, story)
}

// Flush writes the last word.
func (c *Comment) Flush(ctx context.Context) error {
	return c.write(ctx, c.timeline.Story(c.o.Scrub))
}

// rest lets the comment be for a while, each time for longer.
func (c *Comment) rest() {
	c.pace = min(max(2*c.pace, editSoon), editLate)
	c.next = c.o.Now().Add(c.pace)
}

func (c *Comment) write(ctx context.Context, story Story) error {
	if c.denied || c.number < 0 || story.idle() {
		return nil
	}
	c.rest()
	if err := c.findPullRequest(ctx, story.Run); err != nil || c.number < 0 {
		return c.judge(err)
	}
	body := c.o.Scrub.apply(CommentMarkdown(story))
	if body == c.body {
		c.behind = false
		return nil
	}
	if err := c.put(ctx, story.Run.App, body); err != nil {
		return c.judge(err)
	}
	c.body, c.behind = body, false
	return nil
}

// judge lets the reporter rest after an error, and stops it for good where
// trying again is in vain.
func (c *Comment) judge(err error) error {
	if err != nil {
		c.next = c.o.Now().Add(retryEvery)
	}
	if _, ok := errors.AsType[*forge.Denied](err); ok {
		c.denied = true
	}
	return err
}

// findPullRequest asks GitHub which pull request the commit belongs to: an open
// one whose head it is, else an open one that has it, else the one that brought
// it in. One that was closed without being merged is not told.
func (c *Comment) findPullRequest(ctx context.Context, run Run) error {
	if c.number != 0 {
		return nil
	}
	if run.Commit == "" {
		c.number = -1
		return nil
	}
	var pulls []*github.PullRequest
	err := c.github.Do(ctx, "find the pull request of the commit", "pull-requests: write, contents: read", func(ctx context.Context) (err error) {
		pulls, _, err = c.github.API.PullRequests.ListPullRequestsWithCommit(ctx, c.github.Owner, c.github.Name, run.Commit, &github.ListOptions{PerPage: 50})
		return err
	})
	if err != nil {
		return err
	}
	c.number = choosePull(pulls, run.Commit)
	return nil
}

// choosePull is the number of the best one; -1 where there is none. Of several
// that are as good it is the first, as GitHub lists them.
func choosePull(pulls []*github.PullRequest, commit string) int {
	number, best := -1, 4
	for _, p := range pulls {
		if r := rank(p, commit); r < best {
			number, best = p.GetNumber(), r
		}
	}
	return number
}

// rank is lower for the pull request that a commit belongs to more.
func rank(p *github.PullRequest, commit string) int {
	switch open := p.GetState() == "open"; {
	case open && p.GetHead().GetSHA() == commit:
		return 0
	case open:
		return 1
	case p.MergedAt == nil:
		return 4
	case p.GetMergeCommitSHA() == commit:
		return 2
	}
	return 3
}

// put edits the comment, or makes it. It looks for it before each attempt to
// make it, so that an attempt that was done in spite of an error is found.
func (c *Comment) put(ctx context.Context, app, body string) error {
	return c.github.Do(ctx, fmt.Sprintf("comment on pull request #%d", c.number), commentPermission, func(ctx context.Context) (err error) {
		if c.id == 0 {
			if c.id, err = c.find(ctx, app); err != nil {
				return err
			}
		}
		if c.id == 0 {
			return c.create(ctx, app, body)
		}
		if err = c.edit(ctx, body); forge.Gone(err) {
			return c.create(ctx, app, body) // somebody has deleted it
		}
		return err
	})
}

func (c *Comment) edit(ctx context.Context, body string) error {
	_, _, err := c.github.API.Issues.EditComment(ctx, c.github.Owner, c.github.Name, c.id, &github.IssueComment{Body: &body})
	return err
}

// create makes the comment, and gives way to one that another run has made
// since this one looked.
func (c *Comment) create(ctx context.Context, app, body string) error {
	c.id = 0
	created, _, err := c.github.API.Issues.CreateComment(ctx, c.github.Owner, c.github.Name, c.number, &github.IssueComment{Body: &body})
	if err != nil {
		return err
	}
	c.id = created.GetID()
	first, err := c.find(ctx, app)
	if err != nil || first == 0 || first == c.id {
		return err
	}
	if _, err := c.github.API.Issues.DeleteComment(ctx, c.github.Owner, c.github.Name, c.id); err != nil && !forge.Gone(err) {
		return err
	}
	c.id = first
	return c.edit(ctx, body)
}

// find looks through all comments for the first that is ours.
func (c *Comment) find(ctx context.Context, app string) (int64, error) {
	login, err := c.whoAmI(ctx)
	if err != nil {
		return 0, err
	}
	opts := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for range maxPages {
		comments, response, err := c.github.API.Issues.ListComments(ctx, c.github.Owner, c.github.Name, c.number, opts)
		if err != nil {
			return 0, err
		}
		for _, comment := range comments {
			if strings.HasPrefix(comment.GetBody(), marker(app)) && own(comment.GetUser(), login) {
				return comment.GetID(), nil
			}
		}
		if response.NextPage == 0 {
			return 0, nil
		}
		opts.Page = response.NextPage
	}
	return 0, nil
}

// whoAmI is the login of the token's user; empty for the token of an app, such
// as a job's own.
func (c *Comment) whoAmI(ctx context.Context) (string, error) {
	if c.github.Installation() {
		return "", nil
	}
	if c.login != nil {
		return *c.login, nil
	}
	user, _, err := c.github.API.Users.Get(ctx, "")
	if err != nil && !forge.Refused(err) {
		return "", err // to be asked again: a guess could lead to a second comment
	}
	c.login = github.String(user.GetLogin())
	return *c.login, nil
}

// own reports whether a comment by the user may be edited: anybody can write
// the mark into a comment, but only a bot's or the token's own user's is ours.
func own(user *github.User, login string) bool {
	if login != "" {
		return user.GetLogin() == login
	}
	return user.GetType() == "Bot"
}

// marker is the first line of the comment of an app. Readers do not see it. Two
// hyphens could end it; as names of apps have no '_', it stays theirs alone.
func marker(app string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(app))
	return "<!-- slipway:" + strings.ReplaceAll(name, "--", "-_") + " -->"
}

// CommentMarkdown renders a story for the comment, in fewer than 65,536
// characters.
func CommentMarkdown(s Story) string {
	sections := []string{
		marker(s.Run.App) + "\n### " + inline(headline(&s), 300) + "\n",
		atAGlance(&s),
		environmentTable(&s),
		evidences(&s),
		warnings(&s),
	}
	sections = append(sections, planSections(&s)...)
	return assemble(maxComment, append(sections,
		details("Commands", commandBlock(&s)),
		details("Notices", notices(&s)),
		details("Timeline", gantt(&s), shares(&s), charts(&s), verdicts(&s)),
		details("Checks", checkTable(&s)),
		about(&s),
	)...)
}

// details folds sections away.
func details(title string, sections ...string) string {
	body := strings.Join(slices.DeleteFunc(sections, func(s string) bool { return s == "" }), "\n")
	if body == "" {
		return ""
	}
	return "<details><summary>" + title + "</summary>\n\n" + body + "\n</details>\n"
}
