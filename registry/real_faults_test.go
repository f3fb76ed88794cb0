package registry

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/slipway-ci/slipway/deploy"
)

// silent is for what proxies say about what was broken on purpose.
var silent = log.New(io.Discard, "", 0)

// bulky is a folder with a file that does not get smaller, of 2 MiB: enough for
// an upload to break in its middle.
func bulky(t *testing.T) Spec {
	t.Helper()
	dir := folderOf(t, web)
	random := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 2<<20)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	write(t, filepath.Join(dir, "bulk"), string(content))
	spec := webSpec(dir)
	spec.Build.Files = append(spec.Build.Files, deploy.File{From: "bulk", To: "/bulk"})
	return spec
}

// toxic is a proxy before a registry that does harm on the way.
type toxic struct {
	*toxiproxy.Proxy
	host string
}

func newToxic(t *testing.T, upstream string) *toxic {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.New(io.Discard))
	p := toxiproxy.NewProxy(server, "registry", "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return &toxic{p, p.Listen}
}

func (x *toxic) add(t *testing.T, form string, args ...any) {
	t.Helper()
	if _, err := x.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(form, args...))); err != nil {
		t.Fatal(err)
	}
}

// clear makes the way free.
func (x *toxic) clear(t *testing.T) { x.Toxics.ResetToxics(t.Context()) }

// A slow way is a way.
func TestRealLatency(t *testing.T) {
	real(t, []string{"token"}, func(t *testing.T, r *realRegistry) {
		x := newToxic(t, r.host)
		x.add(t, `{"name": "there", "type": "latency", "stream": "upstream", "attributes": {"latency": 20, "jitter": 10}}`)
		x.add(t, `{"name": "back", "type": "latency", "stream": "downstream", "attributes": {"latency": 20, "jitter": 10}}`)
		c := impatient()
		c.Keychain = account{x.host, "acme", password}
		image, _, err := c.Push(shortly(t), packWith(t, c, bulky(t)), x.host+"/acme/hello", "1.4.2")
		if err != nil {
			t.Fatal(err)
		}
		if copied, _, err := c.Copy(shortly(t), image, x.host+"/prod/hello"); err != nil {
			t.Error(err)
		} else if err := c.Verify(shortly(t), copied); err != nil {
			t.Error(err)
		}
	})
}

// Where every upload is cut, and where every connection is reset, a push and a
// copy fail, and leave no tag on half an image. Once the way is free, both go on.
func TestRealCuts(t *testing.T) {
	for name, harm := range map[string]string{
		"cut uploads": `{"name": "harm", "type": "limit_data", "stream": "upstream", "attributes": {"bytes": 300000}}`,
		"resets":      `{"name": "harm", "type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 0}}`,
	} {
		t.Run(name, func(t *testing.T) {
			real(t, []string{"open"}, func(t *testing.T, r *realRegistry) {
				x := newToxic(t, r.host)
				c := impatient()
				source, _, err := c.Push(shortly(t), packWith(t, c, bulky(t)), serve(t, nil)+"/acme/hello", "1.4.2")
				if err != nil {
					t.Fatal(err)
				}
				x.add(t, "%s", harm)
				_, _, pushed := c.Push(shortly(t), packWith(t, c, bulky(t)), x.host+"/acme/hello", "1.4.2")
				_, _, copied := c.Copy(shortly(t), source, x.host+"/prod/hello")
				for _, err := range []error{pushed, copied} {
					if err == nil || !strings.Contains(err.Error(), "the connection to "+x.host+" broke") {
						t.Errorf("got %v", err)
					}
				}
				mustBeFree(t, r.host+"/acme/hello", "1.4.2")
				mustBeFree(t, r.host+"/prod/hello", "1.4.2")

				x.clear(t)
				image, _, err := c.Push(shortly(t), packWith(t, c, bulky(t)), x.host+"/acme/hello", "1.4.2")
				if err != nil {
					t.Fatal(err)
				}
				brought, _, err := c.Copy(shortly(t), source, x.host+"/prod/hello")
				if err != nil {
					t.Fatal(err)
				}
				for _, whole := range []deploy.Image{image, brought} {
					if err := c.Verify(shortly(t), whole); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// sabotage is a proxy that spoils the first few requests of a kind, by what it
// understands of them.
func sabotage(t *testing.T, upstream string, spoil func(w http.ResponseWriter, r *http.Request)) (host string, times *atomic.Int32, method *atomic.Value) {
	t.Helper()
	times, method = &atomic.Int32{}, &atomic.Value{}
	method.Store("")
	proxy := httputil.NewSingleHostReverseProxy(must(url.Parse("http://" + upstream)))
	proxy.ErrorLog = silent
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" && r.Method == method.Load() && times.Add(-1) >= 0 {
			spoil(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = silent
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://"), times, method
}

// What passes by itself is waited out at every kind of request: the whole of a
// push and of a copy works through answers of 429 and 503, and through
// connections that break in the middle.
func TestRealTrouble(t *testing.T) {
	kinds := []string{http.MethodHead, http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut}
	real(t, []string{"open"}, func(t *testing.T, r *realRegistry) {
		for name, spoil := range map[string]func(w http.ResponseWriter, r *http.Request){
			"429": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
			},
			"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
			"half": func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
				panic(http.ErrAbortHandler)
			},
		} {
			t.Run(name, func(t *testing.T) {
				host, times, method := sabotage(t, r.host, spoil)
				c := impatient()
				for _, kind := range kinds {
					repository := fmt.Sprintf("%s/%s-%s/hello", host, name, strings.ToLower(kind))
					source, _, err := c.Push(shortly(t), packWith(t, c, bulky(t)), serve(t, nil)+"/acme/hello", "1.4.2")
					if err != nil {
						t.Fatal(err)
					}
					method.Store(kind)
					times.Store(attempts - 1)
					image, _, err := c.Push(shortly(t), packWith(t, c, bulky(t)), repository, "1.4.2")
					if err != nil {
						t.Errorf("push, %s: %v", kind, err)
						continue
					}
					times.Store(attempts - 1)
					copied, _, err := c.Copy(shortly(t), source, repository+"-copy")
					if err != nil {
						t.Errorf("copy, %s: %v", kind, err)
						continue
					}
					times.Store(0)
					for _, whole := range []deploy.Image{image, copied} {
						if err := c.Verify(shortly(t), whole); err != nil {
							t.Errorf("%s: %v", kind, err)
						}
					}
				}
			})
		}
	})
}
