package analysis

import "math"

// When the stakes are placed. Most is placed before the first batch. The rest
// waits for a version that turns bad later: a part of it is placed every
// onsetEvery seconds, and more whenever the share changes, because what breaks
// under load breaks then. What is idle falls as patience/(patience + onsets),
// which serves the first half hour about evenly and never runs out. The numbers
// weigh a small defect from the start against one that comes after 900 seconds;
// the goals of the simulator hold both.
const (
	placedAtOnce = 0.7
	onsetEvery   = 30.0
	patience     = 30.0
	// atChange is the part of what is idle that a new share brings out.
	atChange = 1. / 8
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
	// onsets that have passed, and when the next is due in seconds.
	onsets float64
	due    float64
}

// newWealth begins at a time in seconds.
func newWealth(experts []expert, at float64) wealth {
	w := wealth{idle: 1 - placedAtOnce, due: at + onsetEvery}
	for _, e := range experts {
		w.placed = append(w.placed, math.Log(placedAtOnce*e.early))
		w.late = append(w.late, math.Log(e.late))
	}
	return w
}

// until places what is due before a batch that begins at a time in seconds.
func (w *wealth) until(at float64) {
	if at < w.due {
		return
	}
	n := math.Floor((at-w.due)/onsetEvery) + 1
	w.due += n * onsetEvery
	w.place(n)
}

// change places what a new share brings out.
func (w *wealth) change() { w.place((patience + w.onsets) * atChange / (1 - atChange)) }

// place puts what n onsets bring out behind the experts.
func (w *wealth) place(n float64) {
	before := w.idle
	w.onsets += n
	w.idle = (1 - placedAtOnce) * patience / (patience + w.onsets)
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
