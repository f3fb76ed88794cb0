package githubtest

import (
	"bytes"
	"embed"
	"fmt"
)

//go:embed payloads/*.jsonl
var payloads embed.FS

// Payloads are GitHub's published examples of what an event such as push hands
// to its workflows, all that there are; see payloads/NOTICE. An event of which
// none is kept here is an error.
func Payloads(event string) ([][]byte, error) {
	text, err := payloads.ReadFile("payloads/" + event + ".jsonl")
	if err != nil {
		return nil, fmt.Errorf("examples of the event %s: %w", event, err)
	}
	return bytes.Split(bytes.TrimSpace(text), []byte("\n")), nil
}

// Payload is the nth of Payloads, counted from 1.
func Payload(event string, n int) ([]byte, error) {
	all, err := Payloads(event)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(all) {
		return nil, fmt.Errorf("there are %d examples of the event %s, and no %d", len(all), event, n)
	}
	return all[n-1], nil
}
