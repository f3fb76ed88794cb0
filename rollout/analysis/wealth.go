package analysis

import "math"

// When the stakes are placed. Most is placed before the first batch. The rest
// waits for a version that turns bad later, and is placed bit by bit: what was
// placed long before is lost by then, most quickly behind the experts that would
// gain most. Over the first half hour it is placed evenly, but for a part that
// serves all the time after it and never runs out. More is placed whenever the
// share changes, because what breaks under load breaks then. The numbers weigh a
// small defect from the start against one that comes after 900 seconds; the goals
// of the simulator hold both.
const (
	placedAtOnce = 0.6
	// evenly is for how many seconds stakes are placed evenly, and keptAfter the
	// part of them that is left then.
	evenly    = 1800.0
	keptAfter = 0.15
	// atChange is the part of what is idle that a new share brings out.
	atChange = 1. / 8
	// placedEvery so many seconds at most, however often one looks.
	placedEvery = 1.0
)

// wealth is what the experts of one metric have made of stakes that add up to
// one, in logarithms. Each expert bets that the candidate is worse in its own
// way, at odds that are fair or bad as long as the candidate is not worse: then
// no way of looking at the sum makes it reach x with a chance above 1 in x.
type wealth struct {
	// late is the logarithm of each expert's part of what is placed later.
	late []float64
	// placed is the logarithm of what each expert has now.
	placed []float64
	// idle is what has not been placed.
	idle float64
	// began and last are when the first stakes were placed, and the latest, in
	// seconds.
	began, last float64
	// changes is the part of what would be idle that changes of share have left.
	changes float64
}

// newWealth begins at a time in seconds.
func newWealth(experts []expert, at float64) wealth {
	w := wealth{idle: 1 - placedAtOnce, began: at, last: at, changes: 1}
	for _, e := range experts {
		w.placed = append(w.placed, math.Log(placedAtOnce*e.early))
		w.late = append(w.late, math.Log(e.late))
	}
	return w
}

// waiting is the part of what was not placed at once that is still idle after so
// many seconds, if the share never changes.
func waiting(seconds float64) float64 {
	if seconds < evenly {
		return 1 - (1-keptAfter)*seconds/evenly
	}
	return keptAfter * evenly / seconds
}

// until places what is due before a batch that begins at a time in seconds.
func (w *wealth) until(at float64) {
	if at >= w.last+placedEvery {
		w.last = at
		w.place()
	}
}

// change places what a new share brings out.
func (w *wealth) change() {
	w.changes *= 1 - atChange
	w.place()
}

// place puts what is idle, and should not be any more, behind the experts.
func (w *wealth) place() {
	before := w.idle
	w.idle = (1 - placedAtOnce) * w.changes * waiting(w.last-w.began)
	part := math.Log(before - w.idle)
	for j := range w.placed {
		w.placed[j] = logAdd(w.placed[j], part+w.late[j])
	}
}

// grow multiplies what one expert has placed; step is a logarithm.
func (w *wealth) grow(j int, step float64) { w.placed[j] += step }

// log is the logarithm of all that there is.
func (w *wealth) log() float64 {
	idle := math.Log(w.idle)
	top := idle
	for _, p := range w.placed {
		top = max(top, p)
	}
	sum := math.Exp(idle - top)
	for _, p := range w.placed {
		sum += math.Exp(p - top)
	}
	return top + math.Log(sum)
}

// logAdd is the logarithm of the sum of two numbers given by theirs.
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}
