// Package argo drives a Rollout of Argo Rollouts by its own API, as its plugin for
// kubectl does: it sets the image, promotes, aborts, retries, and reads the
// status. How users move is the Rollout's and its controller's; Slipway says when,
// and goes back.
//
// Source of the fields' meaning: argoproj/argo-rollouts v1.8.3,
// pkg/apis/rollouts/v1alpha1/types.go, and https://argo-rollouts.readthedocs.io.
package argo
