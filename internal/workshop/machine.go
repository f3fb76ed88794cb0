package workshop

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Machine says in one line what figures are of, and how busy it was before: with
// a load above one for each CPU, times say more about what else was running.
// What the system does not tell is "unknown".
func Machine(now time.Time) string {
	return fmt.Sprintf("%d CPUs (%s), %s/%s, %s, load %s before, %s",
		runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, runtime.Version(), load(), now.Format(time.DateOnly))
}

// load is the mean number of processes that wanted a CPU in the last minute.
func load() string {
	content, err := os.ReadFile("/proc/loadavg")
	first, _, found := strings.Cut(string(content), " ")
	if err != nil || !found {
		return "unknown"
	}
	return first
}

// processor is its name, where the kernel says it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, _ := strings.Cut(s.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
