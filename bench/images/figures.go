package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// The tools, and what else slipway is compared with.
const (
	own     = "slipway"
	crane   = "crane"
	docker  = "docker"
	buildah = "buildah"
	regctl  = "regctl"
	// sending is reading, hashing and sending a file, and nothing else.
	sending = "read, hash, send"
	// fastest is, in each round, the faster of crane and regctl.
	fastest = "the faster"
)

// figures are how long it took, by the tool and round.
type figures map[string][]time.Duration

func (f figures) add(tool string, took time.Duration) { f[tool] = append(f[tool], took) }

// last is what the last round said.
func (f figures) last() string {
	var said []string
	for _, tool := range slices.Sorted(maps.Keys(f)) {
		said = append(said, tool+" "+short(f[tool][len(f[tool])-1]))
	}
	return strings.Join(said, ", ")
}

// latest is the shortest time of the last round among some tools; zero if none
// of them was measured.
func (f figures) latest(tools ...string) (shortest time.Duration) {
	for _, tool := range tools {
		if times := f[tool]; len(times) > 0 && (shortest == 0 || times[len(times)-1] < shortest) {
			shortest = times[len(times)-1]
		}
	}
	return shortest
}

// ratios are slipway's times by another's, round by round.
func (f figures) ratios(to string) []float64 {
	ratios := make([]float64, len(f[to]))
	for i, theirs := range f[to] {
		ratios[i] = f[own][i].Seconds() / theirs.Seconds()
	}
	return ratios
}

// above says what is above its limit in the middle of the rounds.
func (r *row) above() string {
	var said []string
	for _, to := range slices.Sorted(maps.Keys(r.limits)) {
		if ratios := r.figures.ratios(to); len(ratios) > 0 && median(ratios) > r.limits[to] {
			said = append(said, fmt.Sprintf("%.2f × %s, not %.2f", median(ratios), to, r.limits[to]))
		}
	}
	if r.mostMegabytes > 0 && slices.Max(r.megabytes) > r.mostMegabytes {
		said = append(said, fmt.Sprintf("%.0f MB, not %.0f", slices.Max(r.megabytes), r.mostMegabytes))
	}
	if most := median(r.figures[own]); r.mostTime > 0 && most > r.mostTime {
		said = append(said, fmt.Sprintf("%s, not %s", short(most), r.mostTime))
	}
	return strings.Join(said, "; ")
}

// table is all rows in Markdown, with the machine that they are of.
func (b *bench) table(machine string) string {
	lines := [][]string{{"case", "compared with", "times: slipway, the other", "ratio: min, median, max", "must be"}}
	for _, r := range b.rows {
		lines = append(lines, r.lines()...)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "Measured by `make bench-images` on %s; %d rounds, times are medians.\n", machine, b.rounds)
	if b.Short {
		s.WriteString("The trees are a tenth of what the limits are for.\n")
	}
	for _, missing := range b.tools.missing {
		fmt.Fprintf(&s, "Left out: %s.\n", missing)
	}
	s.WriteString("\n")
	return s.String() + workshop.Table(lines)
}

// lines are those of one row: one for each tool that it is compared with, and
// one for a limit that needs no comparison.
func (r *row) lines() [][]string {
	ours := short(median(r.figures[own]))
	var lines [][]string
	if len(r.megabytes) > 0 {
		lines = append(lines, []string{r.name, "", ours, "", fmt.Sprintf("≤ %.0f MB: %s", r.mostMegabytes, r.held()) + mark(slices.Max(r.megabytes) > r.mostMegabytes)})
	}
	if r.mostTime > 0 {
		lines = append(lines, []string{r.name, "", ours, "", fmt.Sprintf("≤ %s", r.mostTime) + mark(median(r.figures[own]) > r.mostTime)})
	}
	for _, to := range slices.Sorted(maps.Keys(r.figures)) {
		if to == own {
			continue
		}
		ratios, limit := r.figures.ratios(to), ""
		if most, ok := r.limits[to]; ok {
			limit = fmt.Sprintf("≤ %.2f", most) + mark(median(ratios) > most)
		}
		lines = append(lines, []string{
			r.name, to, ours + ", " + short(median(r.figures[to])),
			fmt.Sprintf("%.2f, %.2f, %.2f", slices.Min(ratios), median(ratios), slices.Max(ratios)), limit,
		})
	}
	return lines
}

// held is what memory was held at most.
func (r *row) held() string {
	return fmt.Sprintf("%.0f, %.0f, %.0f", slices.Min(r.megabytes), median(r.megabytes), slices.Max(r.megabytes))
}

func mark(above bool) string {
	if above {
		return " **above the limit**"
	}
	return ""
}

func median[T time.Duration | float64](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// short is a duration in three digits.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
