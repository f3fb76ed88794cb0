// Package house holds the house to its plan, by tests alone: which room may
// know which, where the environment is read, that every package says what it
// is for, and that documents and examples agree with the code.
package house
