package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// faulty is a proxy in front of the API server that answers some requests
// itself.
type faulty struct {
	server *httptest.Server
	// refused counts what it answered itself, passed what it passed on.
	refused, passed atomic.Int64
}

// behind gives the cluster through a proxy, and a client of it.
func (c *cluster) behind(answer func(http.ResponseWriter, *http.Request) bool) *faulty {
	c.Helper()
	transport, err := rest.TransportFor(c.config)
	if err != nil {
		c.Fatal(err)
	}
	to, err := url.Parse(c.config.Host)
	if err != nil {
		c.Fatal(err)
	}
	f := &faulty{}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: transport,
	}
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer(w, r) {
			f.refused.Add(1)
			return
		}
		f.passed.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	c.Cleanup(f.server.Close)
	through := *c
	through.client, err = New(&rest.Config{Host: f.server.URL})
	if err != nil {
		c.Fatal(err)
	}
	c.client = through.client
	return f
}

// refuse answers as an API server does that cannot.
func refuse(w http.ResponseWriter, code int, reason, retryAfter string) {
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"not now","code":%d}`, reason, code)
}

// sometimes is true once for every path and verb, so that each first request is
// met.
type sometimes struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (s *sometimes) first(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Method + r.URL.String()
	if s.seen[key] {
		return false
	}
	s.seen[key] = true
	return true
}

func TestEveryPassingAnswerIsOutlasted(t *testing.T) {
	for _, fault := range []struct {
		code   int
		reason string
	}{
		{http.StatusConflict, "Conflict"},
		{http.StatusTooManyRequests, "TooManyRequests"},
		{http.StatusInternalServerError, "InternalError"},
		{http.StatusBadGateway, ""},
		{http.StatusServiceUnavailable, "ServiceUnavailable"},
		{http.StatusGatewayTimeout, "Timeout"},
	} {
		t.Run(fmt.Sprint(fault.code), func(t *testing.T) {
			t.Parallel()
			c := open(t)
			direct := c.client
			once := &sometimes{seen: map[string]bool{}}
			f := c.behind(func(w http.ResponseWriter, r *http.Request) bool {
				// Who asks what a cluster can is the library, which has its own rules.
				if !strings.Contains(r.URL.Path, "/namespaces/") || !once.first(r) {
					return false
				}
				refuse(w, fault.code, fault.reason, "")
				return true
			})
			set := objects(t, settings1+"\n---\n"+secret1)
			if r := c.apply(c.options(), set...); len(r.Created) != 2 {
				t.Errorf("%+v", r)
			}
			if p := c.prune(c.options()); len(p.Removed) != 2 {
				t.Errorf("%+v", p)
			}
			if f.refused.Load() < 7 {
				t.Errorf("only %d requests were refused", f.refused.Load())
			}
			c.client = direct
			if c.get("ConfigMap", "settings") != nil {
				t.Error("it is still there")
			}
		})
	}
}

func TestBrokenConnectionsAreOutlasted(t *testing.T) {
	c := open(t)
	once := &sometimes{seen: map[string]bool{}}
	f := c.behind(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/namespaces/") && once.first(r) {
			panic(http.ErrAbortHandler) // this is how a handler breaks a connection
		}
		return false
	})
	if r := c.apply(c.options(), object(t, settings1)); len(r.Created) != 1 {
		t.Errorf("%+v", r)
	}
	if f.passed.Load() == 0 {
		t.Error("nothing went through the proxy")
	}
}

func TestRetryAfterIsKeptTo(t *testing.T) {
	c := open(t)
	var refusedAt, cameAt atomic.Int64
	c.behind(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		if refusedAt.CompareAndSwap(0, time.Now().UnixNano()) {
			refuse(w, http.StatusTooManyRequests, "TooManyRequests", "1")
			return true
		}
		cameAt.CompareAndSwap(0, time.Now().UnixNano())
		return false
	})
	c.apply(c.options(), object(t, settings1))
	if waited := time.Duration(cameAt.Load() - refusedAt.Load()); waited < time.Second {
		t.Errorf("it waited %s, not the second that it was told", waited)
	}
}

func TestAServerThatNeverCanIsGivenUp(t *testing.T) {
	c := open(t)
	f := c.behind(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "")
		}
		return r.Method == http.MethodPatch
	})
	o := c.options()
	o.Patience = time.Second
	_, err := c.client.Apply(t.Context(), objects(t, settings1), o)
	if err == nil || !strings.Contains(err.Error(), "ConfigMap "+c.namespace+"/settings: tried") || !strings.Contains(err.Error(), "not now") {
		t.Errorf("said %v", err)
	}
	if n := f.refused.Load(); n < 2 || n > 20 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestAWaitThatIsTooLongIsNotBegun(t *testing.T) {
	c := open(t)
	f := c.behind(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			refuse(w, http.StatusTooManyRequests, "TooManyRequests", "3600")
		}
		return r.Method == http.MethodPatch
	})
	_, err := c.client.Apply(t.Context(), objects(t, settings1), c.options())
	if !apierrors.IsTooManyRequests(errors.Unwrap(errors.Unwrap(err))) && !strings.Contains(fmt.Sprint(err), "not now") {
		t.Errorf("said %v", err)
	}
	if n := f.refused.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestWhatSomebodyWritesInBetweenIsNotTakenByForce(t *testing.T) {
	c := open(t)
	direct := c.client
	c.apply(c.options(), object(t, settings1))
	c.change("ConfigMap", "settings", "kubectl-edit", `{"data":{"color":"green"}}`)
	var meddled atomic.Bool
	outer := *c
	c.behind(func(_ http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		if r.Method == http.MethodPatch && q.Get("force") == "true" && q.Get("dryRun") == "" && meddled.CompareAndSwap(false, true) {
			outer.client = direct
			outer.change("ConfigMap", "settings", "another", `{"data":{"size":"huge"}}`)
		}
		return false
	})
	o := c.options()
	o.Force = true
	result := c.apply(o, object(t, strings.Replace(settings1, "blue", "red", 1)))
	if !meddled.Load() {
		t.Fatal("nobody wrote in between")
	}
	taken := map[string]string{}
	for _, held := range result.Taken {
		taken[held.Field] = held.Manager
	}
	if taken[".data.size"] != "another" {
		t.Errorf("taken without a word: %v", taken)
	}
}

func TestAnInterruptedApplyEndsAtOnce(t *testing.T) {
	c := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.behind(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			cancel()
			refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "30")
		}
		return r.Method == http.MethodPatch
	})
	_, err := c.client.Apply(ctx, objects(t, settings1), c.options())
	if err == nil {
		t.Error("it says that it was applied")
	}
}
