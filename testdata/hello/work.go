package main

import (
	"cmp"
	"log"
	"os"
	"time"
)

// work is one-off work, such as a migration. WORK says how it goes: fail, or how
// long it takes, such as 20s. It tells DATABASE_URL, as an app that is careless
// does.
func work(what string) {
	log.Printf("%s: begins with %s", what, os.Getenv("DATABASE_URL"))
	how := cmp.Or(os.Getenv("WORK"), "0s")
	if how == "fail" {
		log.Printf("%s: no such table", what)
		os.Exit(3)
	}
	takes, err := time.ParseDuration(how)
	if err != nil {
		log.Fatalf("%s: WORK is %q, which is neither fail nor a duration such as 20s", what, how)
	}
	time.Sleep(takes)
	log.Printf("%s: done", what)
}
