// Package daemon is the sandbox's background process. It holds an OCI
// registry, runs the replicas of every environment as isolated processes, puts
// a reverse proxy before each environment, and remembers on disk what runs, so
// that another start brings it back.
//
// One environment is one JSON document, written before an act is acknowledged.
// What is in memory (processes, listeners, routes) follows from the document.
package daemon
