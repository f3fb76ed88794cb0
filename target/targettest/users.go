package targettest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"sync"
	"time"
)

// user is somebody with a browser: the cookies that it gets, it keeps.
type user struct {
	client *http.Client
	// known are headers that it sends always.
	known http.Header
}

// newcomer is a user who has never been here.
func (w *world) newcomer() user {
	jar, _ := cookiejar.New(nil) // has no error without options
	u := user{client: &http.Client{Jar: jar, Transport: w.driver.Transport, Timeout: w.driver.Patience}}
	if w.driver.Known != nil {
		u.known = w.driver.Known()
	}
	return u
}

// get asks once. A status other than 200 is an error.
func (u user) get(ctx context.Context, url string) (string, error) {
	resp, err := u.open(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("read the answer of %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", url, resp.Status, body)
	}
	return string(body), nil
}

// open asks, and leaves the answer to be read.
func (u user) open(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range u.known {
		req.Header[name] = values
	}
	return u.client.Do(req)
}

// ask is what a newcomer gets, which has to be 200.
func (w *world) ask(url string) string {
	w.Helper()
	body, err := w.newcomer().get(w.limited(), url)
	if err != nil {
		w.Fatal(err)
	}
	return body
}

// answers counts what a number of newcomers get at the stable URL.
func (w *world) answers(users int) map[string]int {
	w.Helper()
	url, got := w.state().URL, map[string]int{}
	for range users {
		if !w.driver.Follows {
			got[w.ask(url)]++
			continue
		}
		body, err := w.newcomer().get(w.limited(), url)
		if err != nil {
			body = err.Error() // it has not followed yet
		}
		got[body]++
	}
	return got
}

// newcomers are enough to meet every side of a split.
const newcomers = 30

// only checks that every newcomer gets one answer.
func (w *world) only(answer string) {
	w.Helper()
	var got map[string]int
	if !w.comes(func() bool { got = w.answers(newcomers); return got[answer] == newcomers }) {
		w.Errorf("all users should get %q; they get %v", answer, got)
	}
}

// comes reports whether something is so, which is waited for where what sends users
// follows the target.
func (w *world) comes(so func() bool) bool {
	w.Helper()
	for ctx := w.limited(); ; {
		if so() {
			return true
		}
		if !w.driver.Follows {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// served waits until a newcomer is served at a URL.
func (w *world) served(url string) {
	w.Helper()
	for ctx := w.limited(); ; {
		_, err := w.newcomer().get(ctx, url)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			w.Fatalf("nobody is served at %s: %v", url, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// settled waits until newcomers in a row get one answer. What sends users to a
// replica may hear of its end and its new beginning later than the target, each.
func (w *world) settled(url, answer string) {
	w.Helper()
	row, last := 0, ""
	for ctx := w.limited(); row < newcomers; {
		body, err := w.newcomer().get(ctx, url)
		if err == nil && body == answer {
			row++
			continue
		}
		if row, last = 0, body; err != nil {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			w.Fatalf("not all users of %s get %q: one got %q", url, answer, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// unserved checks that nobody is served at a URL.
func (w *world) unserved(url string) {
	w.Helper()
	if url == "" {
		return
	}
	body := ""
	if !w.comes(func() bool {
		b, err := w.newcomer().get(w.limited(), url)
		body = b
		return err != nil
	}) {
		w.Errorf("%s serves users: %q", url, body)
	}
}

// request is one that was begun: its answer has reached the client in part.
type request struct {
	world *world
	resp  *http.Response
}

// begin sends a request that the app answers in part at once and to the end
// after a while.
func (w *world) begin(takes time.Duration) request {
	w.Helper()
	resp, err := w.newcomer().open(w.limited(), w.state().URL+"/slow?"+takes.String())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = resp.Body.Close() })
	return request{world: w, resp: resp}
}

// end reads the answer to its end.
func (r request) end() (string, error) {
	body, err := io.ReadAll(r.resp.Body)
	return string(body), err
}

// crowd are users who ask all the time, some of them slow questions.
type crowd struct {
	world *world
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu     sync.Mutex
	served map[string]int
	lost   []error
}

// crowdSize is how many users ask at a time; pause is between two of their
// questions.
const (
	crowdSize  = 8
	crowdPause = 5 * time.Millisecond
	slowly     = 300 * time.Millisecond
)

// crowd lets users ask until quiet.
func (w *world) crowd() *crowd {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	c := &crowd{world: w, stop: cancel, served: map[string]int{}}
	w.Cleanup(cancel)
	url := w.state().URL
	for i := range crowdSize {
		if i < crowdSize/4 {
			c.done.Go(func() { c.wander(ctx, url+"/slow?"+slowly.String()) })
			continue
		}
		c.done.Go(func() { c.wander(ctx, url+"/") })
	}
	return c
}

// wander asks as one newcomer after the other until ctx ends; what is under
// way then is still waited for.
func (c *crowd) wander(ctx context.Context, url string) {
	client := c.world.newcomer().client
	client.Jar = nil
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		body, err := user{client: client}.get(context.WithoutCancel(ctx), url)
		c.note(body, err)
		select {
		case <-ctx.Done():
		case <-time.After(crowdPause):
		}
	}
}

func (c *crowd) note(body string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.lost = append(c.lost, err)
		return
	}
	if len(body) > 0 && body[len(body)-1] == '.' { // the end of a slow answer
		body = body[:len(body)-1]
	}
	c.served[body]++
}

// meets waits until so many more answers of a version have come.
func (c *crowd) meets(version string, more int) {
	c.world.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.served[version]
	}
	goal, ctx := count()+more, c.world.limited()
	for count() < goal {
		select {
		case <-ctx.Done():
			c.world.Fatalf("the users do not meet %s: %s", version, c)
		case <-time.After(crowdPause):
		}
	}
}

// String tells what the crowd got.
func (c *crowd) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := fmt.Sprintf("served %v, lost %d", c.served, len(c.lost))
	for i, err := range c.lost {
		if i == 3 {
			s += "; …"
			break
		}
		s += "; " + err.Error()
	}
	return s
}

// quiet ends the crowd and checks that each question was answered.
func (c *crowd) quiet() {
	c.world.Helper()
	c.stop()
	c.done.Wait()
	c.world.Log(c)
	if len(c.lost) > 0 {
		c.world.Error("requests were lost")
	}
}
