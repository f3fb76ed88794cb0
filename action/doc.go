// Package action is what a GitHub runner gives to Slipway and takes from it:
// inputs, the event, and on the way back outputs, the job summary,
// annotations, log groups and masks.
//
// A Runner reads the environment through the function that it is made with and
// writes workflow commands to the writer that it is made with; nothing here
// reads the process environment by itself. What the action is called from
// outside with is listed by InputSpecs and OutputSpecs, and action.yml at the
// root of the repository is held against them by a test.
package action
