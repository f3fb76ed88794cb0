package forge

import (
	"context"
	"fmt"

	"github.com/google/go-github/v60/github"
)

// JobURL is where the log of a running job is: the one of the run's attempt
// that runs on the runner of that name, which does one job at a time. It is
// empty where GitHub does not know of one.
func (c *Client) JobURL(ctx context.Context, runID, attempt int64, runner string) (string, error) {
	var jobs *github.Jobs
	doing := fmt.Sprintf("list the jobs of run %d", runID)
	err := c.Do(ctx, doing, "actions: read", func(ctx context.Context) (err error) {
		jobs, _, err = c.API.Actions.ListWorkflowJobsAttempt(ctx, c.Owner, c.Name, runID, attempt, &github.ListOptions{PerPage: 100})
		return err
	})
	if err != nil {
		return "", err
	}
	for _, job := range jobs.Jobs {
		if job.GetRunnerName() == runner && job.GetStatus() == "in_progress" {
			return job.GetHTMLURL(), nil
		}
	}
	return "", nil
}
