// Package metrics measures both versions where a judge cannot look itself: in
// a Prometheus, or at any address that answers with recorded traffic. It also
// compiles conditions, which thresholds hold measurements against.
//
// A source is asked again and again, and says what came in since it was asked
// before. Its counts are exact: raw samples of counters, and their differences.
// What was not measured of one version is not told of the other either, and
// nothing is ever taken for zero because it is missing.
package metrics
