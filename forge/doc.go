// Package forge knows GitHub as the place that keeps pull requests, deployments
// and environments with what protects them: who may ask it, how often, and what
// its refusals mean for people.
//
// Everything goes through one Client, whose Do tries again what can get better
// and explains what cannot.
package forge
