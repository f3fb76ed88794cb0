package analysis

import (
	"math"

	"github.com/slipway-ci/slipway/deploy"
)

// Dispersed is how many times more errors vary between groups of clients than
// independent requests would: 1 when requests fail one by one, about the length of
// a burst when one client's requests fail together on the version that it sticks
// to. Without it a burst looks like evidence against the version that it happened
// to hit. Of several versions it is the largest, and zero where none of them says
// anything of it.
//
// It is the variance of the errors of a version's groups around its own share of
// errors, over what independent requests would have. How many errors a version has
// in all does not enter, so that a worse version is not excused by being worse.
func Dispersed(versions ...deploy.Spread) float64 {
	largest := 0.0
	for _, s := range versions {
		largest = max(largest, dispersed(s))
	}
	return largest
}

const (
	// dispersedNoise is by how many deviations the measured dispersion has to be
	// above 1 for chance not to explain it. It is asked at every look.
	dispersedNoise = 3
	// fewErrors is what few errors add to its variance, divided by their number:
	// two of them in one of 256 groups are a burst, two pairs among ten are not.
	fewErrors = 0.2
)

func dispersed(s deploy.Spread) float64 {
	n, e := float64(s.Requests), float64(s.Errors)
	if e < 2 || e >= n {
		return 0
	}
	p := e / n
	expected := p * (1 - p) * (n - s.RequestsSquared/n)
	if !(expected > 0) {
		return 0 // all of one group
	}
	measured := (s.ErrorsSquared - 2*p*s.Product + p*p*s.RequestsSquared) / expected
	noise := math.Sqrt(2*s.RequestsSquared/(n*n) + fewErrors/e)
	if math.IsNaN(measured) || measured < 1+dispersedNoise*noise {
		return 1
	}
	return measured * (1 + noise)
}
