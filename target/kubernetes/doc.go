// Package kubernetes drives environments in a Kubernetes cluster, in which
// nothing of Slipway's is installed: no controller, and no kind of our own.
//
// A revision is a Deployment of its own (package objects), so that two of them
// run side by side in every strategy, and going back means to send users
// elsewhere and never to start anything. Who has the users is written in the
// annotations of the object that sends them: the HTTPRoute of a Gateway, or
// without one the Service. So one write moves them and says so, and it is done
// by compare-and-swap: what somebody else changes in the same object is kept.
//
// Record and history are in a ConfigMap beside the workload, written by
// compare-and-swap, too. The hold is a Lease. Secrets are objects that never
// change, one for each version of a value, and stay as long as the history
// speaks of them.
package kubernetes
