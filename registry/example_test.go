package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
)

// A program becomes an image, the image a version: once.
func Example() {
	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/acme/hello"

	dir, err := os.MkdirTemp("", "hello")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "hello"), []byte("#!/bin/sh\necho hello\n"), 0o755); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	client := &registry.Client{}
	for range 2 {
		image, err := client.Pack(ctx, registry.Spec{
			Dir: dir,
			Build: deploy.Build{
				Files:      []deploy.File{{From: "hello", To: "/hello"}},
				Entrypoint: []string{"/hello"},
				Platform:   "linux/amd64",
			},
			Version: "1.4.2",
			Created: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
		})
		if err != nil {
			log.Fatal(err)
		}
		pushed, sent, err := client.Push(ctx, image, repository, "1.4.2")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(pushed.Version, "sent:", sent)
		if err := image.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 1.4.2 sent: true
	// 1.4.2 sent: false
}
