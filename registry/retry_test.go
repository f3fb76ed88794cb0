package registry

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
)

// busy refuses the first few requests of a kind, and notes when they came.
type busy struct {
	times  atomic.Int32
	after  func() string
	seen   atomic.Int32
	method string
	last   atomic.Int64
	waited atomic.Int64
}

func (b *busy) middleware(next http.Handler) http.Handler {
	return intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" || r.Method != b.method {
			return false
		}
		now := time.Now().UnixNano()
		if last := b.last.Swap(now); last != 0 && b.waited.Load() == 0 {
			b.waited.Store(now - last)
		}
		if b.seen.Add(1) > b.times.Load() {
			return false
		}
		w.Header().Set("Retry-After", b.after())
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})(next)
}

func seconds(s string) func() string { return func() string { return s } }

// A registry that says how long to wait is waited for, by seconds and by date.
func TestRetryAfter(t *testing.T) {
	for name, after := range map[string]func() string{
		"seconds": seconds("1"),
		"date":    func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			b := &busy{method: http.MethodHead, after: after}
			host := serve(t, b.middleware)
			put(t, host+"/acme/hello:1.4.2", must(random.Image(1000, 1)))
			b.seen.Store(0)
			b.last.Store(0)
			b.waited.Store(0)
			b.times.Store(1)
			if _, err := impatient().Resolve(t.Context(), host+"/acme/hello", "1.4.2"); err != nil {
				t.Fatal(err)
			}
			if waited := time.Duration(b.waited.Load()); waited < 900*time.Millisecond { // the backoff is 1 ms
				t.Errorf("waited %s alone", waited)
			}
		})
	}
}

// One that asks for more than anybody waits is not asked again.
func TestRetryAfterTooLong(t *testing.T) {
	b := &busy{method: http.MethodHead, after: seconds("600")}
	b.times.Store(1000)
	host := serve(t, b.middleware)
	_, err := impatient().Resolve(t.Context(), host+"/acme/hello", "1.4.2")
	if err == nil || !strings.Contains(err.Error(), "limits how much may be asked of it") || !strings.Contains(deploy.HintOf(err), "wait 10m0s") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	if n := b.seen.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// Content that a registry did not want to take yet is sent from its beginning.
func TestRetryOfUploads(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodPut} {
		b := &busy{method: method, after: seconds("0")}
		b.times.Store(attempts - 1)
		host := serve(t, b.middleware)
		c := impatient()
		image, _, err := c.Push(t.Context(), packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2")
		if err != nil {
			t.Errorf("%s: %v", method, err)
			continue
		}
		if err := c.Verify(t.Context(), image); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// flaky fails as often as it is asked to, and counts.
type flaky struct{ asked, fails int }

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.asked++
	if f.asked <= f.fails {
		return nil, errForGood
	}
	return answers(http.StatusOK).RoundTrip(r)
}

var errForGood = errors.New("not one that passes")

// What does not pass by itself is not tried again.
func TestNoRetry(t *testing.T) {
	f := &flaky{fails: 1}
	p := patient{inner: f, backoff: remote.Backoff{Duration: time.Millisecond, Steps: attempts}}
	_, err := p.RoundTrip(must(http.NewRequest(http.MethodGet, "https://ghcr.io/v2/", nil)))
	if !errors.Is(err, errForGood) || f.asked != 1 {
		t.Errorf("asked %d times: %v", f.asked, err)
	}
}
