package analysis

import "math"

// forecast is what is known of the live version, for expecting what it does
// next. All that was ever seen is the best guess while nothing changes. After an
// incident, or with a history from another day, what came lately is a better
// one: it is used while it has foretold the live version clearly better. Bad
// guesses cost time, never a false verdict.
type forecast struct {
	live
	// prior is added to what was seen.
	prior []float64
	// seen is everything, recent fades.
	seen, recent []float64
	// lately is what recent alone would expect, lean how much of everything
	// holds it up.
	lately live
	lean   []float64
	// lead is by how much recent has foretold better, as a logarithm.
	lead float64
}

const (
	// recentMemory is after how many seconds a third is left.
	recentMemory = 60.0
	// clearly is the lead from which recent is used; mostLead is so small that
	// it can be lost again.
	clearly  = 4.0
	mostLead = 12.0
)

func newForecast(prior []float64) forecast {
	n := len(prior)
	return forecast{
		prior: prior, live: newLive(n), lately: newLive(n),
		seen: make([]float64, n), recent: make([]float64, n), lean: make([]float64, n),
	}
}

// look sets what is expected of the next batch.
func (f *forecast) look() {
	f.expect(f.seen, f.prior)
	for k, p := range f.mass {
		f.lean[k] = p * priorRequests
	}
	f.lately.expect(f.recent, f.lean)
}

// expected is the guess to bet on.
func (f *forecast) expected() *live {
	if f.lead > clearly {
		return &f.lately
	}
	return &f.live
}

// learn takes a batch that lasted so many seconds, after look.
func (f *forecast) learn(counts []float64, lasted float64) {
	fade := math.Exp(-lasted / recentMemory)
	better := 0.0
	for k, n := range counts {
		if n > 0 {
			better += n * math.Log(f.lately.mass[k]/f.mass[k])
		}
		f.seen[k] += n
		f.recent[k] = f.recent[k]*fade + n
	}
	f.lead = min(max(f.lead+better, -mostLead), mostLead)
}
