package forge

import (
	"context"
	"time"

	"github.com/google/go-github/v60/github"
)

// Calls counts the HTTP requests that were made so far, further attempts and
// those that GitHub answered with 304 among them.
func (c *Client) Calls() int { return int(c.counter.calls.Load()) }

// HeadRoom is how many requests the token has left, and when their number is
// full again. Asking does not count. A GitHub without limits answers with a
// *Denied of 404.
func (c *Client) HeadRoom(ctx context.Context) (remaining int, reset time.Time, err error) {
	var limits *github.RateLimits
	err = c.Do(ctx, "read the rate limit", "", func(ctx context.Context) (err error) {
		limits, _, err = c.API.RateLimit.Get(ctx)
		return err
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	core := limits.GetCore()
	if core == nil {
		return 0, time.Time{}, errNoLimit
	}
	return core.Remaining, core.Reset.Time, nil
}
