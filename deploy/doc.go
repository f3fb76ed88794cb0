// Package deploy is Slipway's vocabulary: the nouns that every room of the
// house speaks (App, Image, Revision, Environment, Plan, Record, Event) and
// the contracts between those that decide and those that act (Target and its
// optional companions, Reporter).
//
// It imports the standard library alone, and holds no behaviour beyond what
// its nouns mean: identity, validity, how they read when printed.
package deploy
