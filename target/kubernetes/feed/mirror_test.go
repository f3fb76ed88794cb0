package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// patience bounds what a busy machine may take.
const patience = time.Minute

// line is the way to the API server: it counts what is asked, and can be cut.
type line struct {
	next            http.RoundTripper
	lists, watching atomic.Int64

	mu sync.Mutex
	// cut: no request gets through. mute: watches that are open say nothing.
	cut, mute bool
	open      []*stream
}

var errCut = errors.New("the line is cut")

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, errCut
	}
	if r.Method != http.MethodGet {
		return l.next.RoundTrip(r)
	}
	if r.URL.Query().Get("watch") == "" {
		l.lists.Add(1)
		return l.next.RoundTrip(r)
	}
	answer, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	l.watching.Add(1)
	s := &stream{ReadCloser: answer.Body, line: l}
	answer.Body = s
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, s)
	return answer, nil
}

// fail cuts the line, and ends what is open.
func (l *line) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, s := range l.open {
		_ = s.Close()
	}
	l.open = nil
}

func (l *line) set(cut, mute bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.mute = cut, mute
}

// stream is the body of a watch.
type stream struct {
	io.ReadCloser
	line *line
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		n, err := s.ReadCloser.Read(p)
		s.line.mu.Lock()
		mute := s.line.mute
		s.line.mu.Unlock()
		if !mute || err != nil {
			return n, err
		}
	}
}

// mirrored is a mirror of the ConfigMaps of a namespace.
type mirrored struct {
	*testing.T
	line    *line
	client  kubernetes.Interface
	space   string
	changes atomic.Int64
	mirror  feed.Mirror[*corev1.ConfigMap]
}

func newMirrored(t *testing.T) *mirrored {
	t.Helper()
	m := &mirrored{T: t, line: &line{}, space: clustertest.Namespace(t)}
	config := rest.CopyConfig(clustertest.Config(t))
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { m.line.next = next; return m.line })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	m.client = client
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	api := client.CoreV1().ConfigMaps(m.space)
	m.mirror.Feed = feed.Feed{What: "ConfigMaps", List: feed.Listing(api.List), Watch: api.Watch, Options: metav1.ListOptions{LabelSelector: "test=mirror"}}
	m.mirror.Changes = m.changes.Load
	m.mirror.Owner = func(watch func(context.Context)) { running.Go(func() { watch(ctx) }) }
	return m
}

// value is what the mirror says of the one ConfigMap; empty where there is none.
func (m *mirrored) value(ctx context.Context) (string, error) {
	all, err := m.mirror.Look(ctx)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0].Data["value"], nil
}

func (m *mirrored) says(want string) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), patience)
	defer cancel()
	if got, err := m.value(ctx); err != nil || got != want {
		m.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// eventually waits until the mirror says so.
func (m *mirrored) eventually(what string, holds func(string, error) bool) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), patience)
	defer cancel()
	for {
		got, err := m.value(ctx)
		if holds(got, err) {
			return
		}
		if ctx.Err() != nil {
			m.Fatalf("never %s; at last %q, %v", what, got, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// write changes the ConfigMap; through another client, or as this process.
func (m *mirrored) write(value string, own bool) {
	m.Helper()
	client := clustertest.Client(m.T)
	if own {
		client = m.client
		defer m.changes.Add(1)
	}
	api := client.CoreV1().ConfigMaps(m.space)
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one", Labels: map[string]string{"test": "mirror"}}, Data: map[string]string{"value": value}}
	_, err := api.Update(m.Context(), o, metav1.UpdateOptions{})
	if err != nil {
		_, err = api.Create(m.Context(), o, metav1.CreateOptions{})
	}
	if err != nil {
		m.Fatal(err)
	}
}

func TestAMirrorShowsWhatThisProcessHasWritten(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.says("")
	for i := range 30 {
		m.write(fmt.Sprint(i), true)
		m.says(fmt.Sprint(i))
	}
	if err := m.client.CoreV1().ConfigMaps(m.space).Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	m.changes.Add(1)
	m.says("")
}

func TestAMirrorThatIsLookedAtAsksNothing(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.mirror.Trusted = time.Hour
	m.write("one", true)
	m.eventually("is one", func(s string, err error) bool { return s == "one" && err == nil })
	before := m.line.lists.Load()
	for range 1000 {
		m.says("one")
	}
	m.write("two", false)
	m.eventually("is two", func(s string, err error) bool { return s == "two" && err == nil })
	if after := m.line.lists.Load(); after != before || m.line.watching.Load() != 1 {
		t.Errorf("%d lists after %d, and %d watches; want none more, and one watch", after, before, m.line.watching.Load())
	}
}

func TestAMirrorSaysThatTheServerIsAway(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.mirror.Trusted = time.Hour
	m.write("one", true)
	m.says("one")
	m.line.fail()
	m.eventually("says it", func(_ string, err error) bool { return errors.Is(err, errCut) })
	for range 20 {
		if got, err := m.value(t.Context()); err == nil {
			t.Fatalf("got %q from a server that is away", got)
		}
	}
	m.write("two", false) // another process has a line of its own
	before := m.line.watching.Load()
	m.line.set(false, false)
	m.says("two")
	m.eventually("watches again", func(string, error) bool { return m.line.watching.Load() > before })
	m.write("three", false)
	m.eventually("is three", func(s string, err error) bool { return s == "three" && err == nil })
}

func TestAMirrorDoesNotBelieveAWatchThatIsSilentForLong(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.mirror.Trusted = 200 * time.Millisecond
	m.write("one", true)
	m.says("one")
	m.line.set(false, true)
	m.write("two", false)
	m.eventually("is two", func(s string, err error) bool { return s == "two" && err == nil })
	m.says("two") // and not what was heard before, by turns
}

func TestAMirrorThatMayNotWatchAsks(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	may := []access.Permission{{Verb: "list", Resource: "configmaps", Namespace: m.space}}
	less, err := access.Open(t.Context(), access.Options{Files: []string{clustertest.KubeconfigFor(t, m.space, may)}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(less.Config)
	if err != nil {
		t.Fatal(err)
	}
	api := client.CoreV1().ConfigMaps(m.space)
	m.mirror.Feed.List, m.mirror.Feed.Watch = feed.Listing(api.List), api.Watch
	for i := range 5 {
		m.write(fmt.Sprint(i), false)
		m.says(fmt.Sprint(i))
	}
	if n := less.Requests()["watch configmaps"]; n != 1 {
		t.Errorf("asked %d times for a watch that is refused", n)
	}
}
