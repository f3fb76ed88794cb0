package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// crowd is how many users there are at a time. Each waits for an answer
	// before the next comes, so that a slow machine is not asked for more.
	crowd = 16
	// stroll is the time between two requests of one user.
	stroll = 100 * time.Millisecond
)

// users send requests to hello until end, each with a connection of their own.
type users struct {
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu    sync.Mutex
	count count
}

// count is what users got.
type count struct {
	sent int
	// answered are good answers and faults are errors, by the version that gave
	// them. Nobody is to blame for what was lost.
	answered, faults map[string]int
	lost             []string
}

func visitURL(url string) *users {
	ctx, cancel := context.WithCancel(context.Background())
	u := &users{cancel: cancel, count: count{answered: map[string]int{}, faults: map[string]int{}}}
	for i := range crowd {
		u.group.Go(func() {
			// One after the other, so that there is always one at each point of
			// its request.
			for pause := time.Duration(i) * stroll / crowd; rest(ctx, pause); pause = stroll {
				u.add(ask(url))
			}
		})
	}
	return u
}

// rest is false once the users have been ended.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ask is what one user gets.
func ask(url string) (status int, body string, err error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(content)), err
}

func (u *users) add(status int, body string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count.sent++
	good, isGood := strings.CutPrefix(body, "hello from ")
	bad, isBad := strings.CutPrefix(body, "error from ")
	switch {
	case err == nil && status == http.StatusOK && isGood:
		u.count.answered[good]++
	case err == nil && status == http.StatusInternalServerError && isBad:
		u.count.faults[bad]++
	default:
		u.count.lost = append(u.count.lost, fmt.Sprintf("%s: status %d %q, %v", time.Now().Format(time.StampMilli), status, body, err))
	}
}

// end lets the requests under way finish and sends no more.
func (u *users) end() count {
	u.cancel()
	u.group.Wait()
	return u.count
}

// sent is how many have been answered so far, or lost.
func (u *users) sent() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count.sent
}

// harm says what was lost or failed, but for errors of the forgiven versions;
// it is empty where all was well.
func (c count) harm(forgiven ...string) string {
	var all []string
	if len(c.lost) > 0 {
		all = append(all, fmt.Sprintf("%d were lost, the first at %s", len(c.lost), c.lost[0]))
	}
	for _, version := range slices.Sorted(maps.Keys(c.faults)) {
		if !slices.Contains(forgiven, version) {
			all = append(all, fmt.Sprintf("%d failed at %s", c.faults[version], version))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("of %d requests, %s", c.sent, strings.Join(all, ", "))
}
