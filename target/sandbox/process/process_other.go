//go:build !linux

package process

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Process is a running replica. There is none on this system.
type Process struct{ done chan struct{} }

// Supported is the refusal: namespaces are Linux's.
func Supported() error {
	return deploy.Hinted(errors.New("the sandbox runs on Linux, and this is "+runtime.GOOS),
		"run slipway on a Linux machine, in a Linux virtual machine or on a Linux runner; targets for Docker hosts and Kubernetes, which can be reached from here, are planned")
}

// Chosen is empty: there is no isolation to choose.
func Chosen() Isolation { return "" }

// Start refuses as Supported does.
func Start(context.Context, Spec) (*Process, error) { return nil, Supported() }

// PID is the app's on the host.
func (p *Process) PID() int { return 0 }

// Done is closed when the app has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit tells how the app ended.
func (p *Process) Exit() Exit { return Exit{Code: -1} }

// Stop ends it.
func (p *Process) Stop(time.Duration) Exit { return p.Exit() }

// Listening is the refusal.
func (p *Process) Listening() ([]int, error) { return nil, Supported() }

// IsChild is false: there are no replicas to be.
func IsChild() bool { return false }

// Child has nothing to be: it returns at once.
func Child() {}
