// Package concede leaves to the controller of Argo Rollouts, and to autoscalers, what
// they have the say of in objects that Slipway applies: whom the Services of a Rollout
// lead to, weights where its strategy names a route, replicas. It says what they have
// written since, and which differences are theirs and nobody's mistake.
package concede
