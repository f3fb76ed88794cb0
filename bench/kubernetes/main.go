// Command kubernetes measures what slipway does in a real cluster, beside
// kubectl, in one run on the same machine:
//
//	go run ./bench/kubernetes                 # a ratio above its limit exits with 1
//	go run ./bench/kubernetes -short          # fewer objects, once, and no failure because of a time
//	go run ./bench/kubernetes -markdown FILE  # and write the tables to a file
//	go run ./bench/kubernetes -only reverts   # the chapters whose name contains that
//
// The cluster is that of KUBECONFIG. Everything happens in namespaces that the
// run makes and removes. Applying needs nothing else; releases need a registry
// that the cluster pulls from, host:port in REGISTRY, and a gateway that is named
// "gateway" in the namespace "default" and listens at GATEWAY, host:port. Goals
// that are a time are met or missed, which is told; lost requests and restarts are
// a mistake wherever it runs, and exit with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// bench is one run.
type bench struct {
	workshop.Bench
	rounds int
	dir    string
	config *rest.Config
	client kubernetes.Interface
	// shop has the binary, and the app that is released; nil where there is no
	// registry and no gateway.
	shop     *workshop.Workshop
	registry string
	gateway  string
	figures  []figure
}

// row is one line of the table.
type row struct {
	name, compared, times, ratio, limit string
	// above says what is above its limit, empty if nothing is.
	above string
}

// chapter measures some things that belong together.
type chapter struct {
	name    string
	measure func(*bench, context.Context) ([]row, error)
	// releases: it needs a registry and a gateway.
	releases bool
}

// chapters are all that is measured.
var chapters = []chapter{
	{"applying", (*bench).applying, false},
	{"releases", (*bench).releasing, true},
	{"sets", (*bench).releasingSets, true},
	{"lost requests", (*bench).losing, true},
	{"reverts", (*bench).reverting, true},
	{"verdicts", (*bench).dooming, true},
}

func main() {
	var b bench
	b.Flags("fewer objects, one round, and no failure because of a time", "chapters")
	flag.IntVar(&b.rounds, "rounds", 5, "how often everything is measured")
	flag.Parse()
	os.Exit(workshop.Run("bench-kubernetes", b.measure))
}

func (b *bench) measure(ctx context.Context) (err error) {
	if b.Short {
		b.rounds = 1
	}
	if err := b.open(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "slipway-bench-kubernetes-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	defer func() {
		if b.shop != nil {
			err = errors.Join(err, b.shop.Close())
		}
	}()
	on := workshop.Machine(time.Now())
	var all []row
	for _, c := range chapters {
		if !b.Names(c.name) {
			continue
		}
		if c.releases {
			opened, err := b.openShop(ctx)
			if err != nil {
				return err
			}
			if !opened {
				say("left out, for want of REGISTRY and GATEWAY: %s", c.name)
				continue
			}
		}
		say("%s", c.name)
		lines, err := c.measure(b, ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, lines...)
	}
	text := b.table(on, all)
	fmt.Print(text)
	err = errors.Join(b.Keep(text), b.broken())
	for _, r := range all {
		if r.above != "" && !b.Short {
			err = errors.Join(err, fmt.Errorf("above the limit: %s: %s", r.name, r.above))
		}
	}
	return err
}

// open finds the cluster and kubectl.
func (b *bench) open() (err error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return errors.New("KUBECONFIG must name a cluster that may be worked on")
	}
	if _, err := exec.LookPath("kubectl"); err != nil {
		return fmt.Errorf("kubectl is what it is compared with: %w", err)
	}
	if b.config, err = clientcmd.BuildConfigFromFlags("", path); err != nil {
		return err
	}
	b.client, err = kubernetes.NewForConfig(b.config)
	return err
}

// table is all rows in Markdown.
func (b *bench) table(machine string, all []row) string {
	var s strings.Builder
	fmt.Fprintf(&s, "Measured by `make bench-kubernetes` on %s; %d rounds, times are medians.\n\n", machine, b.rounds)
	lines := [][]string{{"case", "compared with", "times: slipway, the other", "ratio: min, median, max", "must be"}}
	for _, r := range all {
		limit := r.limit
		if r.above != "" {
			limit += " **above the limit**"
		}
		lines = append(lines, []string{r.name, r.compared, r.times, r.ratio, limit})
	}
	s.WriteString(workshop.Table(lines))
	b.list(&s)
	return s.String()
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
