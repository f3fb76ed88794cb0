// Package proxy is the reverse proxy in front of one environment of the
// sandbox: it splits users between revisions by weight, keeps each of them on
// their side, spreads a revision's requests over its replicas, lets a replica
// be drained before it is stopped, and counts what users got.
//
// # Who goes where
//
// Every user has a position between 0 and 9999, drawn at random and kept in a
// cookie. The arms of a [Table] take the positions from the lowest up, each as
// many as its share. So the candidate should be the FIRST arm: while its share
// grows, users only ever move to it, never back and forth.
//
// # What is waited for, and how long
//
// A connection to a replica is given up after 2 seconds, response headers
// after 10 minutes (no app should take longer, and nothing may hang for ever),
// an idle connection after one second: shorter than any common server's own
// limit, so that no request is sent into a connection that its server is about
// to close. Bodies and upgraded connections may last as long as both ends like.
//
// # What is retried
//
// A replica that cannot be connected to has seen nothing of the request, so
// another replica of the same revision gets it. When none can be reached, the
// user gets 502 and the revision is counted an error: to send the request to
// the other revision instead would hide from the judge that this one is down.
// A request without body that fails on a reused connection before any byte of
// an answer is sent again by net/http. Everything else is handed on as it is.
package proxy
