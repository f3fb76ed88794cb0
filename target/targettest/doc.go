// Package targettest is the suite that every Target passes: it holds a driver
// against each sentence of the contracts in package deploy, with real images
// of a small app that can misbehave in every way that matters.
package targettest
