// Package apply brings a set of objects into a cluster by server-side apply,
// with Slipway's own field manager, and keeps account of them.
//
// Apply asks the server first, by a dry run of the whole set, so that a
// conflict, a missing permission or an invalid object is told before anything
// changes. It takes no field from another manager unless Options.Force says so,
// and no object from another owner at all. Then the set goes in, in the order
// that its kinds need, several objects at a time; it waits for namespaces to be
// active and for CustomResourceDefinitions to be established.
//
// What was applied is kept in an inventory: a ConfigMap beside the workload,
// which names each object with its UID. Prune removes what the inventory has
// and the set has not, and only if the object's own label says that it belongs
// to the same owner: two proofs, so that neither a copied label nor a stale
// list removes what is another's. ApplySets (KEP-3659) need the right to list
// every kind in every namespace concerned, and a request for each, and trust the
// label alone; the inventory costs one read and needs no more than "get" and
// "delete" of what was applied.
//
// Drift says what is live otherwise than it was applied, field by field, with
// who changed it and when; Repair puts it back.
package apply
