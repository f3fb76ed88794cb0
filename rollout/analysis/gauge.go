package analysis

import "math"

// Gauge is a reading of both versions that is no count: cores in use, bytes of
// memory, the length of a queue, or what a query made of counts.
type Gauge struct {
	Name string
	// Live and Candidate are NaN where nothing is known.
	Live, Candidate float64
}

// gaugeOf is a gauge of a sample by its name.
func gaugeOf(s Sample, name string) Gauge {
	for _, g := range s.Gauges {
		if g.Name == name {
			return g
		}
	}
	return Gauge{Name: name, Live: math.NaN(), Candidate: math.NaN()}
}

// finiteNumber says whether a reading says anything.
func finiteNumber(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
