package main

import (
	"errors"
	"testing"

	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

func TestGitHubsPackagesAreRemovedByItsAPI(t *testing.T) {
	server := githubtest.New(t)
	server.Permissions = map[string]string{"packages": "write"}
	server.AddImage(githubtest.Image{Owner: "acme", Package: "hello/web", ID: 7, Digest: "sha256:7", Tags: []string{"1.0.0-rc.1"}})
	client, err := forge.New(forge.Options{APIURL: server.URL, Repository: githubtest.Repository, Token: githubtest.Token})
	if err != nil {
		t.Fatal(err)
	}
	remove := (&session{forge: client}).packageRemover()
	for _, elsewhere := range []string{"registry.example.com/acme/hello", "ghcr.io.example.com/acme/hello", "127.0.0.1:5000/hello"} {
		if err := remove(t.Context(), elsewhere, "sha256:7"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", elsewhere, err)
		}
	}
	if err := remove(t.Context(), "ghcr.io/acme/hello/web", "sha256:7"); err != nil || len(server.Images()) != 0 {
		t.Errorf("%v, %d images", err, len(server.Images()))
	}
}
