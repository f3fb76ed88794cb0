package analysis

// Panel is several judges of one rollout. Who sees something wrong has the
// say: a revert before a hold before what is not known yet. It passes when all
// do, and promotes when one of them promotes besides.
type Panel []Judge

var _ Judge = Panel(nil)

// Observe asks all, also when the first one has decided, so that each of them
// sees everything.
func (p Panel) Observe(s Sample) Verdict {
	said := Verdict{Decision: Advance, Why: "nobody judges"}
	for i, j := range p {
		v := j.Observe(s)
		if i == 0 || gravity(v.Decision) > gravity(said.Decision) {
			said = v
		}
	}
	return said
}

// gravity orders decisions by who has the say.
func gravity(d Decision) int {
	switch d {
	case Revert:
		return 4
	case Hold:
		return 3
	case Continue:
		return 2
	case Promote:
		return 1
	}
	return 0
}
