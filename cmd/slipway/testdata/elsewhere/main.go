// Command elsewhere is an app that does not listen on the port that PORT names,
// and tells its log what it should keep for itself.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	log.Print("key ", os.Getenv("API_KEY"))
	log.Fatal(http.Serve(listener, http.NotFoundHandler()))
}
