// Package analysis judges a candidate by what its users get. Judges are pure:
// they are handed observations with their times, and have neither clock nor
// network, so that the same observations always give the same verdict.
//
// Sequential compares the candidate with the live version beside it and decides
// on evidence that holds whenever one looks. Bake compares a version that has all
// users with what was recorded before. Thresholds, ErrorLimit and LatencyLimit are
// fixed rules. Panel asks several of them. Replay asks one about recorded traffic.
package analysis
