// Package targettest is the suite that every Target passes: it holds a driver
// against each sentence of the contracts in package deploy, with real images
// of a small app that can misbehave in every way that matters, and with users
// who ask over HTTP while versions change. What a target need not be able to
// do (Splitter, Baseliner, Roller, Journal, Locker, Witness, counts, routes of revisions)
// is held to its contract where it is there.
package targettest
