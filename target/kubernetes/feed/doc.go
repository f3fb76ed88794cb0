// Package feed follows objects in a cluster by watching them: as long as somebody
// wants to know (Feed.Follow), until something holds of them (Until), or so that
// what is there can be looked at without a request (Mirror).
package feed
