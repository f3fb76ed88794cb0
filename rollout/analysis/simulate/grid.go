package main

import (
	"fmt"
	"hash/fnv"
	"sync"
)

// The grid is every traffic with every share of errors, shape of durations,
// stress, effect and onset. It is told in groups: what one of them makes of all
// the others.
var (
	gridTraffic  = []float64{1, 50, 1000}
	gridErrors   = []float64{.0001, .001, .01}
	gridShapes   = []shape{narrow, heavy, twin}
	gridStresses = []stress{calm, incident, clustered, warmingUp, misrouted}
	gridEffects  = []effect{double, point, broken, slower, sluggish}
	gridOnsets   = []float64{0, 900}
)

// grid are all worlds that there are: those of equal versions, and the others.
func grid() (healthy, worse []world) {
	for _, rps := range gridTraffic {
		for _, base := range gridErrors {
			for _, s := range gridShapes {
				for _, st := range gridStresses {
					w := world{rps: rps, base: base, effect: none, shape: s, stress: st}
					healthy = append(healthy, w)
					for _, e := range gridEffects {
						for _, onset := range gridOnsets {
							worse = append(worse, w.with(func(w *world) { w.effect, w.onset = e, onset }))
						}
					}
				}
			}
		}
	}
	return healthy, worse
}

// played are the results of worlds, one for each entrant; nil where it would
// take too long.
type played struct {
	worlds   []world
	entrants []entrant
	results  [][]*result
}

// playAll drives every entrant through every world. Seeds differ from world to
// world, so that groups of worlds are as many rollouts as they have.
func playAll(worlds []world, p func(world) plan, all []entrant, runs, workers int) played {
	out := played{worlds, all, make([][]*result, len(worlds))}
	limit := make(chan struct{}, workers)
	var wg sync.WaitGroup
	for i, w := range worlds {
		out.results[i] = make([]*result, len(all))
		for k, e := range all {
			plan := p(w)
			plan.observation = e.observation
			if !e.affordable(w, plan) {
				continue
			}
			limit <- struct{}{}
			wg.Go(func() {
				defer func() { <-limit }()
				res := repeatFrom(seedOf(w), w, e.contender, plan, runs)
				out.results[i][k] = &res
			})
		}
	}
	wg.Wait()
	return out
}

// seedOf is a number before the seeds of a world.
func seedOf(w world) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, w)
	return h.Sum64() >> 1
}

// group is a part of the grid.
type group struct {
	name string
	has  func(world) bool
}

// rows are what the groups came to, by entrant.
func (p played) rows(groups []group, cell func(result) string) [][]string {
	var rows [][]string
	for _, g := range groups {
		row := []string{g.name}
		for k := range p.entrants {
			sum, found, whole := result{}, false, true
			for i, w := range p.worlds {
				if !g.has(w) {
					continue
				}
				if r := p.results[i][k]; r != nil {
					sum.add(*r)
					found = true
				} else {
					whole = false
				}
			}
			// Some worlds alone would not compare with the others' cells.
			if !found || !whole {
				row = append(row, "–")
				continue
			}
			row = append(row, cell(sum))
		}
		rows = append(rows, row)
	}
	return rows
}

// byOne groups by each value of each dimension of equal versions.
func byOne() []group {
	all := []group{{"all", func(world) bool { return true }}}
	for _, rps := range gridTraffic {
		all = append(all, group{fmt.Sprintf("%g rps", rps), func(w world) bool { return w.rps == rps }})
	}
	for _, base := range gridErrors {
		all = append(all, group{fmt.Sprintf("%g%% errors", 100*base), func(w world) bool { return w.base == base }})
	}
	for _, s := range gridShapes {
		all = append(all, group{s.name, func(w world) bool { return w.shape.name == s.name }})
	}
	for _, s := range gridStresses {
		all = append(all, group{"stress: " + string(s), func(w world) bool { return w.stress == s }})
	}
	return all
}

// byEffect groups by effect and onset, with the traffic and with the stress.
func byEffect() []group {
	var all []group
	for _, e := range gridEffects {
		for _, onset := range gridOnsets {
			is := func(w world) bool { return w.effect.name == e.name && w.onset == onset }
			name := e.name
			if onset > 0 {
				name += fmt.Sprintf(" from %g s on", onset)
			}
			for _, rps := range gridTraffic {
				all = append(all, group{fmt.Sprintf("%s, %g rps", name, rps), func(w world) bool { return is(w) && w.rps == rps }})
			}
			if onset > 0 {
				continue
			}
			for _, s := range gridStresses {
				all = append(all, group{fmt.Sprintf("%s, 1000 rps, stress: %s", name, s), func(w world) bool { return is(w) && w.rps == 1000 && w.stress == s }})
			}
		}
	}
	return all
}

// gridTables are what all of it comes to, each made when it is its turn.
func gridTables(runs, workers int) []func() table {
	healthy, worse := grid()
	all := entrants()
	return []func() table{
		func() table {
			equal := playAll(healthy, pinned, all, 2*runs, workers)
			return table{
				title: fmt.Sprintf("The grid: false reverts of an equal version, share pinned at 5%%, 30 minutes; %d worlds of %d rollouts each, in groups: share with 95%% Clopper-Pearson interval", len(healthy), 2*runs),
				head:  head("group", all), rows: equal.rows(byOne(), falseCell),
			}
		},
		func() table {
			bad := playAll(worse, pinned, all, runs, workers)
			return table{
				title: fmt.Sprintf("The grid: worse versions, share pinned at 5%%, 30 minutes from the onset; %d worlds of %d rollouts each, in groups: missed / median seconds / median requests of the canary (over Wald's bound) / bad requests served in the mean", len(worse), runs),
				head:  head("group", all), rows: bad.rows(byEffect(), detectCell),
			}
		},
		func() table {
			led := playAll(healthy, func(world) plan { return plan{until: 7200} }, all, runs, workers)
			return table{
				title: fmt.Sprintf("The grid: rollouts of an equal version through 5, 25, 50 and 100%%, at most 2 hours; %d worlds of %d rollouts each, in groups: promoted / median seconds to promote / reverted", len(healthy), runs),
				head:  head("group", all), rows: led.rows(byOne(), promoteCell),
			}
		},
	}
}
