// Package daemon is the sandbox's background process. It holds an OCI
// registry, runs the replicas of every environment as isolated processes, puts
// a reverse proxy before each environment, and remembers on disk what runs, so
// that another start brings it back.
//
// One environment is one JSON document, written before an act is acknowledged.
// What is in memory (processes, listeners, routes) follows from the document.
//
// Two things hold when the disk is full or breaks: users go back to the live
// version first and it is written down afterwards (environment.move), and room
// for the next document is reserved before it is needed (replaceInRoom).
package daemon
