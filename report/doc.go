// Package report tells people what happens: on the console, in the job
// summary, in one comment on the pull request, as GitHub deployments, and in a
// JSON file.
//
// Everything starts from deploy.Event. A Hub hands each event to the
// reporters; a Timeline folds events into a Story, the model that the
// reporters at the end of a run render. No reporter can fail a deployment:
// what could not be reported becomes a warning in the other reports.
//
// What people read first says the same everywhere: what happened, why, what is
// live now, what users felt, and what to do next. Programs read the JSON file,
// whose form is report.schema.json; a test keeps it in step with Story.
//
// Two rules hold for all that leaves this package. It passes the Scrub
// function of its reporter, which hides secrets. And text that Slipway did not
// write itself (commit messages, names, the logs of an app) can format,
// mention, link, colour and command nothing where it is shown.
package report
