package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// memory measures the resident set of the sandbox's background process, which
// is the registry and the proxies; replicas are processes of their own.
func (b *bench) memory(ctx context.Context) error {
	if err := b.production(2, quick); err != nil {
		return err
	}
	if err := b.release(ctx, "1.0.0"); err != nil {
		return err
	}
	var sandbox struct{ PID int }
	if err := b.Query(ctx, &sandbox, "sandbox", "status", "--json"); err != nil {
		return err
	}
	if err := workshop.Pause(ctx, 2*time.Second); err != nil {
		return err
	}
	idle, err := resident(sandbox.PID)
	if err != nil {
		return err
	}
	b.know("memory of the sandbox, idle", "%s", mib(idle))

	most := idle
	_, err = b.whileServing(ctx, func(*workshop.Users) error {
		for range b.rounds(50, 20) {
			if err := workshop.Pause(ctx, 200*time.Millisecond); err != nil {
				return err
			}
			now, err := resident(sandbox.PID)
			if err != nil {
				return err
			}
			most = max(most, now)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.know(fmt.Sprintf("memory of the sandbox at %d requests a second, highest", perSecond), "%s", mib(most))
	return nil
}

// resident is the resident set of a process in bytes.
func resident(pid int) (uint64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s does not say how much memory there is", path)
}

func mib(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
