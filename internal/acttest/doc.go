// Package acttest runs our container action as GitHub's runner does, and looks
// at what comes of it. All of it is tests; it needs
//
//   - a Docker engine: the one that DOCKER_HOST names, or the usual socket
//   - act (https://github.com/nektos/act), which plays the runner: in PATH, or
//     where the variable ACT says; .ci/run has the version
//   - where base images cannot be pulled, static shells to make stand-ins of:
//     Debian's packages busybox-static and bash-static
//
// Without an engine or act the tests are skipped and say so in a line.
// SLIPWAY_REQUIRE_DOCKER=1 makes that a failure, as in .ci/run.
//
//	go test -v ./internal/acttest                               # about a minute
//	go test -run '^$' -bench . -benchtime 5x ./internal/acttest # the figures
//
// # What is real
//
// The action is built from the Dockerfile by act and runs in a container with
// the rights that GitHub gives: no options, Docker's own seccomp profile. The
// workflow is the one that `slipway init` writes, the repository a real one of
// git, the app a real program in the sandbox. GitHub's API is
// forge/githubtest, which takes and answers only what GitHub's own description
// allows, with the permissions that the workflow asks for. Payloads are GitHub's
// published examples.
//
// What act does otherwise than GitHub's runner, and what is done about it:
//
//   - HOME of a container action is not a folder of the job's: it is mounted.
//     It is kept from one run of a scene to the next, as on a runner of one's
//     own, so that there is something to promote and to roll back to.
//   - defaults of inputs do not reach the post-entrypoint: the workflow names
//     the token.
//   - cancelling it does not send signals into the container: a test sends
//     those of GitHub's runner itself.
//
// # A scenario
//
// A row of the table in workflow_test.go: events at GitHub, one after the
// other, and what the last of them has to come to. Events are in
// events_test.go.
//
// # Stand-ins
//
// Where golang and busybox at the tags of the Dockerfile cannot be pulled,
// images of that name are made from this machine's Go and its busybox. Go's one
// holds the modules that go.sum names, so that the build needs no network. They
// are labelled slipway.stand-in, are made anew when what they are made of has
// changed, and stay in the engine, since they are what makes the next run
// quick. To be rid of them:
//
//	docker image ls --filter label=slipway.stand-in
package acttest
