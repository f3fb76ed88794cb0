// Package rollout brings a revision to its users and, if it must, takes it
// away from them again.
//
// A strategy becomes a plan, which is data (plan.go). One engine walks every
// plan (engine.go, walk.go): it writes what it is about to do into the journal
// at the target, does it, and watches the result through a gate (gate.go).
// There is one way back (back.go), used by a failed gate, a cancelled run, and
// settle (settle.go), which finishes what a killed process left.
package rollout
