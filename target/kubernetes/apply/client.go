package apply

import (
	"fmt"
	"net/http"
	"sync"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Client applies sets to one cluster. It may be used by several at once.
type Client struct {
	rest    rest.Interface
	dynamic dynamic.Interface

	// One mapper for all: what the cluster can is read once, and again when a kind
	// is not known.
	mapping sync.Mutex
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// New is a client for a cluster. It makes no request. The config's limit on
// requests a second is not used: Options.Parallel bounds them, and a server that
// has too many says so, which is kept to.
func New(config *rest.Config) (*Client, error) {
	config = dynamic.ConfigFor(config)
	config.QPS, config.RateLimiter = -1, nil
	// What the server warns of is in Result.Warnings, not on standard error.
	config.WarningHandler, config.WarningHandlerWithContext = rest.NoWarnings{}, nil
	config.Wrap(func(to http.RoundTripper) http.RoundTripper { return listener{to} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("open the cluster at %s: %w", config.Host, err)
	}
	return newClient(config, client)
}

func newClient(config *rest.Config, client *http.Client) (*Client, error) {
	found, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("open the cluster at %s: %w", config.Host, err)
	}
	config.GroupVersion, config.APIPath = nil, "/"
	requests, err := rest.UnversionedRESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("open the cluster at %s: %w", config.Host, err)
	}
	return &Client{
		rest: requests, dynamic: dynamic.New(requests),
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found)),
	}, nil
}
