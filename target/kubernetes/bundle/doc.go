// Package bundle makes of a user's own manifests what an environment needs: the
// workload once for each revision, by our names and labels; the Service and the
// route that bring users to it; what is shared by all revisions; and a form in
// which the whole is kept in the cluster, so that a revision can come back from
// there alone.
//
// It asks no cluster and reads no file.
package bundle
