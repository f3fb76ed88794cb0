// Package analysis judges a candidate by what its users get. Judges are pure:
// they are handed observations with their times, and have neither clock nor
// network, so that the same observations always give the same verdict.
package analysis
