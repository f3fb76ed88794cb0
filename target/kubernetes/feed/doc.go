// Package feed follows objects in a cluster by watching them: as long as somebody
// wants to know (Feed.Follow), and until something holds of them (Until).
package feed
