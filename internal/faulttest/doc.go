// Package faulttest tries releases in a real cluster, behind a real gateway with
// real users, against what goes wrong: versions that are bad in every way, an API
// server that is away or answers with errors, and others who change the same
// objects. It has tests alone, and says in one line when there is no cluster.
package faulttest
