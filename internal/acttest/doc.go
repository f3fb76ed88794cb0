// Package acttest runs our container action as GitHub would.
package acttest
