package faulttest

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

const (
	// away is how long the API server is.
	away = 10 * time.Second
	// fewPerSecond are users where many environments are watched at once.
	fewPerSecond = 40
)

// by is a kubeconfig with the same login by another way.
func (f field) by(t *testing.T, change func(*api.Cluster)) string {
	t.Helper()
	c, err := clientcmd.LoadFromFile(f.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range c.Clusters {
		change(cluster)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// cut is a way to the API server that can be cut: connections break, and new ones
// are refused.
func (f field) cut(t *testing.T) (kubeconfig string, way *toxiproxy.Proxy) {
	t.Helper()
	kubeconfig = f.by(t, func(c *api.Cluster) {
		to, err := url.Parse(c.Server)
		if err != nil {
			t.Fatal(err)
		}
		server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.New(io.Discard))
		way = toxiproxy.NewProxy(server, "api", "127.0.0.1:0", to.Host)
		if err := way.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(way.Stop)
		c.Server, c.TLSServerName = "https://"+way.Listen, to.Hostname()
	})
	return kubeconfig, way
}

// absence is when the API server goes away: at the beginning of a stage, or of
// the way back.
type absence struct {
	name  string
	kind  deploy.Kind
	at    func(deploy.Event) bool
	flags []string
}

func stage(n int) func(deploy.Event) bool {
	return func(e deploy.Event) bool { return e.Kind == deploy.StageStarted && e.Stage == n }
}

func backing(e deploy.Event) bool { return e.Kind == deploy.Reverting }

var absences = []absence{
	{"canary starts", deploy.Canary, stage(1), nil},
	{"canary has a share", deploy.Canary, stage(2), nil},
	{"canary has all users", deploy.Canary, stage(3), nil},
	{"canary goes back", deploy.Canary, backing, []string{"-sick-after", "20"}},
	{"blue-green has all users", deploy.BlueGreen, stage(2), nil},
	{"rolling rolls", deploy.Rolling, stage(3), nil},
	{"recreate replaces", deploy.Recreate, stage(1), nil},
}

// TestAPIServerAway takes the API server away from Slipway for ten seconds, at each
// stage of a release: users do not notice, and it ends as it would have. The
// cluster's own API server stays; it is the way to it that is cut.
func TestAPIServerAway(t *testing.T) {
	f := newField(t)
	for i, a := range absences {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			s := deploy.Strategy{Kind: a.kind, Batch: 1, Hold: 2 * time.Second, Keep: 2 * time.Second, Steps: []deploy.Percent{50, 100}}
			if a.flags != nil {
				s.Hold = 20 * time.Second
			}
			// A cluster counts no requests: nobody is asked to wait for them.
			s.Judging = deploy.Judging{MaxHold: s.Hold, OnUnknown: deploy.OnUnknownPromote}
			l := newLane(t, f, fmt.Sprintf("away-%d", i), s, fewPerSecond)
			kubeconfig, way := f.cut(t)
			l.target = l.open(t, kubeconfig)

			var once sync.Once
			var back sync.WaitGroup
			told := &diary{}
			told.listen = func(e deploy.Event) {
				if !a.at(e) {
					return
				}
				once.Do(func() {
					way.Stop()
					back.Go(func() {
						time.Sleep(away)
						if err := way.Start(); err != nil {
							t.Error(err)
						}
					})
				})
			}
			before, losses := l.users.Count(), len(l.users.Losses())
			result := l.deploy(t, rollout.Engine{Reporter: told}, l.revision(t, "1.1.0", a.flags...))
			back.Wait()
			want, live := deploy.Promoted, "1.1.0"
			if a.flags != nil {
				want, live = deploy.Reverted, first
			}
			t.Logf("%s after %.1f s: %s", result.Outcome, result.Took.Seconds(), result.Reason)
			if result.Outcome != want {
				t.Errorf("want %s", want)
			}
			if result.Took < away/2 {
				t.Errorf("it took %s: the API server was not away", result.Took)
			}
			l.target = l.open(t, f.kubeconfig)
			l.settled(t, live, want)
			cost := l.since(before, losses, "1.1.0", l.spans(fault{judged: a.flags != nil}, told, sickSince(told, a)))
			t.Logf("%d of %d requests were lost, %d failed on the bad version", cost.Lost, cost.Sent, cost.Own)
			if cost.Lost > 0 {
				t.Errorf("%d requests were lost, such as %s", cost.Lost, cost.firstLost)
			}
		})
	}
}

// sickSince is when users first met a version that gets sick; zero of a good one.
func sickSince(told *diary, a absence) time.Time {
	if a.flags == nil {
		return time.Time{}
	}
	return told.at(deploy.StageStarted, stage(2))
}

// trouble answers requests in the API server's place, at a seeded rate.
type trouble struct {
	to http.Handler
	// rate is the share of requests that it answers.
	rate float64

	mu     sync.Mutex
	random *rand.Rand
	made   map[string]int
}

// kinds are what it does: answer with an error at once, or let the request through
// and lose the answer.
var kinds = []string{"409", "429", "500", "503", "lost"}

func (x *trouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := x.next(r)
	switch kind {
	case "":
		x.to.ServeHTTP(w, r)
	case "lost":
		x.to.ServeHTTP(httptest.NewRecorder(), r)
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
	case "409":
		refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
	case "429":
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
	case "500":
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
	case "503":
		refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
	}
}

// next is what becomes of a request; empty where it goes its way. Only an update
// can conflict, and what has no end cannot be lost.
func (x *trouble) next(r *http.Request) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.random.Float64() >= x.rate {
		return ""
	}
	kind := kinds[x.random.IntN(len(kinds))]
	switch {
	case kind == "409" && r.Method != http.MethodPut:
		kind = "500"
	case kind == "lost" && (r.Method == http.MethodGet || r.Header.Get("Upgrade") != ""):
		kind = "503"
	}
	x.made[kind]++
	return kind
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: "trouble that was made",
	})
}

// ill is a way to the API server by which a share of the requests ends in errors.
func (f field) ill(t *testing.T, seed uint64, rate float64) (kubeconfig string, x *trouble) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.BearerToken = "" // each request brings its own
	way, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport, proxy.FlushInterval = way, -1
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	x = &trouble{to: proxy, rate: rate, random: rand.New(rand.NewPCG(seed, 7)), made: map[string]int{}}
	server := httptest.NewTLSServer(x)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return f.by(t, func(c *api.Cluster) {
		c.Server, c.InsecureSkipTLSVerify, c.CertificateAuthorityData, c.CertificateAuthority = server.URL, true, nil, ""
	}), x
}

// TestAPIErrors lets a fifth of all requests to the API server end in 409, 429 with
// Retry-After, 500, 503, or in an answer that is lost after the deed was done: good
// versions are promoted and bad ones taken back as ever, and nobody loses a request.
func TestAPIErrors(t *testing.T) {
	f := newField(t)
	for i, c := range []struct {
		kind  deploy.Kind
		flags []string
	}{
		{deploy.Canary, nil},
		{deploy.BlueGreen, nil},
		{deploy.Rolling, nil},
		{deploy.Recreate, nil},
		{deploy.Canary, []string{"-exit", "1"}},
	} {
		t.Run(strings.Join(append([]string{string(c.kind)}, c.flags...), " "), func(t *testing.T) {
			t.Parallel()
			s := deploy.Strategy{Kind: c.kind, Batch: 1, Hold: 2 * time.Second, Keep: 2 * time.Second, Steps: []deploy.Percent{50, 100}}
			s.Judging = deploy.Judging{MaxHold: s.Hold, OnUnknown: deploy.OnUnknownPromote}
			l := newLane(t, f, fmt.Sprintf("ill-%d", i), s, fewPerSecond)
			kubeconfig, x := f.ill(t, uint64(i), 0)
			l.target = l.open(t, kubeconfig)
			x.rate = 0.2
			told := &diary{}
			before, losses := l.users.Count(), len(l.users.Losses())
			result := l.deploy(t, rollout.Engine{Reporter: told}, l.revision(t, "1.1.0", c.flags...))
			want, live := deploy.Promoted, "1.1.0"
			if c.flags != nil {
				want, live = deploy.Failed, first
			}
			x.mu.Lock()
			made := fmt.Sprint(x.made)
			kept := slices.Clone(kinds)
			kept = slices.DeleteFunc(kept, func(kind string) bool { return x.made[kind] > 0 })
			x.mu.Unlock()
			t.Logf("%s after %.1f s and %s: %s", result.Outcome, result.Took.Seconds(), made, result.Reason)
			if result.Outcome != want {
				t.Errorf("want %s", want)
			}
			if len(kept) == len(kinds) {
				t.Error("no trouble was made")
			}
			l.target = l.open(t, f.kubeconfig)
			l.settled(t, live, want)
			cost := l.since(before, losses, "1.1.0", l.spans(fault{}, told, time.Time{}))
			if cost.Lost > 0 {
				t.Errorf("%d of %d requests were lost, such as %s", cost.Lost, cost.Sent, cost.firstLost)
			}
		})
	}
}
