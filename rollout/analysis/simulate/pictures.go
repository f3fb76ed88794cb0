package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/rollout/analysis"
)

// pictures of the documentation, drawn from rollouts with fixed seeds.
func pictures(folder string) error {
	for name, draw := range map[string]func() string{
		"judge-evidence.svg": evidencePicture,
		"judge-incident.svg": incidentPicture,
		"judge-wolf.svg":     wolfPicture,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(draw()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The sheet is of a middle lightness with dark ink, so that it can be read on a
// light page and on a dark one.
const (
	paper  = "#f6f8fa"
	ink    = "#24292f"
	faint  = "#8c959f"
	grid0  = "#d0d7de"
	blue   = "#0969da"
	red    = "#cf222e"
	violet = "#8250df"
	brown  = "#9a6700"
)

// plot is a sheet with two axes: seconds to the right, something upwards.
type plot struct {
	b                        strings.Builder
	width, height            float64
	left, right, top, bottom float64
	to, low, high            float64
}

// sheet begins a picture.
func sheet(label string, width, height float64) *plot {
	p := &plot{width: width, height: height, left: 64, right: width - 36, top: 40, bottom: height - 44}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img" aria-label="%s">
<style>text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: %s }</style>
<rect x="0.5" y="0.5" width="%g" height="%g" rx="8" fill="%s" stroke="%s"/>
`, width, height, width, height, label, ink, width-1, height-1, paper, grid0)
	return p
}

func (p *plot) end() string { return p.b.String() + "</svg>\n" }

// x and y are where something is on the sheet.
func (p *plot) x(v float64) float64 {
	return p.left + (p.right-p.left)*v/p.to
}

func (p *plot) y(v float64) float64 {
	return p.bottom - (p.bottom-p.top)*(min(max(v, p.low), p.high)-p.low)/(p.high-p.low)
}

// axes with marks on both; names are what is written at the marks of the second.
func (p *plot) axes(to, low, high float64, seconds, values []float64, names []string) {
	p.to, p.low, p.high = to, low, high
	for i, v := range values {
		fmt.Fprintf(&p.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, p.left, p.y(v), p.right, p.y(v), grid0)
		p.text(p.left-8, p.y(v)+4, "end", ink, names[i])
	}
	for _, s := range seconds {
		p.text(p.x(s), p.bottom+18, "middle", ink, clock(s))
	}
	fmt.Fprintf(&p.b, `<path d="M%.1f %.1fV%.1fH%.1f" fill="none" stroke="%s"/>`+"\n", p.left, p.top, p.bottom, p.right, faint)
}

// clock is a time as people say it.
func clock(seconds float64) string {
	if math.Mod(seconds, 60) == 0 && seconds > 0 {
		return fmt.Sprintf("%g min", seconds/60)
	}
	return fmt.Sprintf("%g s", seconds)
}

func (p *plot) text(x, y float64, anchor, color, what string) {
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" text-anchor="%s" style="fill:%s">%s</text>`+"\n", x, y, anchor, color, what)
}

// band shades a time.
func (p *plot) band(from, to float64, color string) {
	fmt.Fprintf(&p.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="0.13"/>`+"\n", p.x(from), p.top, p.x(to)-p.x(from), p.bottom-p.top, color)
}

// level is a dashed line.
func (p *plot) level(v float64, color string) {
	fmt.Fprintf(&p.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="1.5" stroke-dasharray="6 4"/>`+"\n", p.left, p.y(v), p.right, p.y(v), color)
}

// line through points.
func (p *plot) line(points [][2]float64, color string, width, opacity float64) {
	fmt.Fprintf(&p.b, `<path fill="none" stroke="%s" stroke-width="%g" stroke-opacity="%g" d="`, color, width, opacity)
	for i, at := range points {
		fmt.Fprintf(&p.b, "%c%.1f %.1f", "ML"[min(i, 1)], p.x(at[0]), p.y(at[1]))
	}
	p.b.WriteString("\"/>\n")
}

// followed is a rollout at a share of 5%, second by second, until it is over or
// reverted: the time, the evidence as a power of ten, and both versions' errors
// in percent.
func followed(w world, seed uint64, until float64) (evidence, live, candidate [][2]float64) {
	r, judge, reverted := w.run(seed), ours().make(), false
	for at := 0.0; at < until && !reverted; at++ {
		s := r.next(at, 1, .05, false)
		v := judge.Observe(s)
		evidence = append(evidence, [2]float64{at + 1, math.Log10(max(v.Evidence, 1e-9))})
		live = append(live, [2]float64{at + 1, 100 * share(s.Live)})
		candidate = append(candidate, [2]float64{at + 1, 100 * share(s.Candidate)})
		reverted = v.Decision == analysis.Revert
	}
	return evidence, live, candidate
}

// evidencePicture is the evidence against 40 equal versions, and against some
// that are worse.
func evidencePicture() string {
	p := sheet("Evidence against forty equal versions stays low, evidence against worse ones rises to 100", 760, 380)
	p.text(p.left, 24, "start", ink, "Evidence against the new version, 1000 requests a second, 5% of them on it")
	p.axes(300, -1, 3, []float64{0, 60, 120, 180, 240, 300}, []float64{-1, 0, 1, 2, 3}, []string{"1/10", "1", "10", "100", "1000"})
	p.level(1, brown)
	p.level(2, red)
	p.text(p.right, p.y(2)-6, "end", red, "100: it goes back")
	p.text(p.right, p.y(1)-6, "end", brown, "10: nobody's share grows")
	for seed := range uint64(40) {
		evidence, _, _ := followed(quick, seed+1, 300)
		p.line(thinned(evidence, 3), faint, 1, .6)
	}
	for _, bad := range []struct {
		effect effect
		onset  float64
		color  string
	}{{point, 0, red}, {double, 0, violet}, {point, 150, blue}} {
		w := quick.with(func(w *world) { w.effect, w.onset = bad.effect, bad.onset })
		evidence, _, _ := followed(w, 3, 600)
		p.line(evidence, bad.color, 2.2, 1)
	}
	p.text(p.left+28, p.top+14, "start", red, "0.1% → 1.1%")
	p.text(p.x(161), p.top+14, "start", blue, "the same, after 150 s")
	p.text(p.x(60), p.y(1.12), "start", violet, "0.1% → 0.2%")
	p.text(p.x(30), p.y(-.75), "start", ink, "40 equal versions")
	return p.end()
}

// thinned is each n-th of the points.
func thinned(points [][2]float64, n int) [][2]float64 {
	var some [][2]float64
	for i := 0; i < len(points); i += n {
		some = append(some, points[i])
	}
	return some
}

// incidentPicture is a minute in which both versions fail, for a reason that is
// neither's.
func incidentPicture() string {
	w := quick.with(func(w *world) { w.stress = incident })
	const seed, until = 5, 360
	at := w.run(seed).incidentAt
	evidence, live, candidate := followed(w, seed, until)
	p := sheet("An incident that both versions share: errors rise on both, the evidence does not", 760, 460)
	p.bottom = 228
	p.text(p.left, 24, "start", ink, "Errors of both versions: an incident that they share")
	p.axes(until, 0, 40, []float64{0, 60, 120, 180, 240, 300, 360}, []float64{0, 10, 20, 30, 40}, []string{"0%", "10%", "20%", "30%", "40%"})
	p.band(at, at+incidentLasts, brown)
	p.line(candidate, red, 1.2, .9)
	p.line(live, blue, 2, 1)
	p.level(1, brown)
	p.text(p.right, p.y(1)-6, "end", brown, "a limit of 1%: a fixed rule would go back")
	p.text(p.x(at+incidentLasts)+8, p.top+20, "start", red, "new version")
	p.text(p.x(at+incidentLasts)+8, p.top+38, "start", blue, "live version")
	p.top, p.bottom = 290, 416
	p.text(p.left, 276, "start", ink, "Evidence against the new version")
	p.axes(until, -1, 3, []float64{0, 60, 120, 180, 240, 300, 360}, []float64{-1, 0, 1, 2, 3}, []string{"1/10", "1", "10", "100", "1000"})
	p.band(at, at+incidentLasts, brown)
	p.level(2, red)
	p.text(p.right, p.y(2)-6, "end", red, "100: it goes back")
	p.line(evidence, ink, 2, 1)
	return p.end()
}

// wolfPicture is how many rollouts of an equal version each rule has reverted by
// when.
func wolfPicture() string {
	const runs, until = 300, 1800
	p := sheet("The share of equal versions that each rule has reverted by a time", 760, 380)
	p.text(p.left, 24, "start", ink, fmt.Sprintf("Equal versions that were taken back by then, of %d: 1000 requests a second, 0.1%% errors", runs))
	p.axes(until, 0, 50, []float64{0, 300, 600, 900, 1200, 1500, 1800}, []float64{0, 10, 20, 30, 40, 50}, []string{"0%", "10%", "20%", "30%", "40%", "50%"})
	for i, c := range []struct {
		entrant
		color string
	}{{entrant{pipecd(), scraped}, violet}, {entrant{kayenta(), scraped}, brown}, {entrant{ours(), scraped}, blue}} {
		res := repeat(quick, c.contender, plan{c.observation, .05, until}, runs)
		points := [][2]float64{}
		for at := 0.0; at <= until; at += 15 {
			by := 0
			for _, late := range res.late {
				if late <= at {
					by++
				}
			}
			points = append(points, [2]float64{at, 100 * float64(by) / runs})
		}
		p.line(points, c.color, 2.2, 1)
		p.text(p.left+20, p.top+24+20*float64(i), "start", c.color, fmt.Sprintf("%s: %.1f%% after half an hour", c.contender.name, points[len(points)-1][1]))
	}
	return p.end()
}
