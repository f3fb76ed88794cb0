package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ci/slipway/deploy"
)

// labelled is an image that has labels alone.
func labelled(tb testing.TB, labels map[string]string) v1.Image {
	tb.Helper()
	return must(mutate.Config(empty.Image, v1.Config{Labels: labels}))
}

func TestDescribe(t *testing.T) {
	host := serve(t, nil)
	said := map[string]string{keyVersion: "1.4.2+build.5", keyRevision: strings.Repeat("a", 40)}
	annotated := func(a partial.WithRawManifest) any { return mutate.Annotations(a, said) }
	child := mutate.IndexAddendum{Add: labelled(t, said), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}}
	attestation := mutate.IndexAddendum{Add: labelled(t, map[string]string{keyVersion: "9.9.9"}), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}}
	index := mutate.AppendManifests(empty.Index, attestation, child)
	artifact := mutate.ConfigMediaType(labelled(t, said), types.MediaType("application/vnd.example.config+json"))
	for name, test := range map[string]struct {
		what any
		want Described
	}{
		"labels":                   {labelled(t, said), Described{Version: "1.4.2+build.5", Revision: said[keyRevision]}},
		"annotations":              {annotated(labelled(t, map[string]string{keyVersion: "0.0.1"})), Described{Version: "1.4.2+build.5", Revision: said[keyRevision]}},
		"labels beside":            {mutate.Annotations(labelled(t, said), map[string]string{keyVersion: "2.0.0"}), Described{Version: "2.0.0", Revision: said[keyRevision]}},
		"nothing":                  {labelled(t, nil), Described{}},
		"the annotations of all":   {annotated(mutate.AppendManifests(empty.Index, attestation)), Described{Version: "1.4.2+build.5", Revision: said[keyRevision]}},
		"the first image of all":   {index, Described{Version: "1.4.2+build.5", Revision: said[keyRevision]}},
		"attestations alone":       {mutate.AppendManifests(empty.Index, attestation), Described{}},
		"an index of nothing":      {empty.Index, Described{}},
		"something that runs none": {artifact, Described{}},
	} {
		t.Run(name, func(t *testing.T) {
			digest := publish(t, host+"/acme/hello:latest", test.what)
			got, err := impatient().Describe(t.Context(), host+"/acme/hello", "latest")
			if test.want.Digest = digest; got != test.want || err != nil {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
	var missing *NotFound
	if _, err := impatient().Describe(t.Context(), host+"/acme/hello", "1.0.0"); !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
}

// publish puts an image or an index at a reference, and gives its digest.
func publish(tb testing.TB, reference string, what any) string {
	tb.Helper()
	ref := must(name.ParseReference(reference, name.Insecure))
	switch what := what.(type) {
	case v1.Image:
		if err := remote.Write(ref, what); err != nil {
			tb.Fatal(err)
		}
		return must(what.Digest()).String()
	case v1.ImageIndex:
		if err := remote.WriteIndex(ref, what); err != nil {
			tb.Fatal(err)
		}
		return must(what.Digest()).String()
	}
	tb.Fatalf("%T is neither", what)
	return ""
}

func TestPoint(t *testing.T) {
	host := serve(t, nil)
	repository := host + "/acme/hello"
	one := publish(t, repository+":1.0.0", labelled(t, map[string]string{keyVersion: "1.0.0"}))
	two := publish(t, repository+":1.1.0", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: labelled(t, nil)}))
	c := impatient()
	for _, digest := range []string{one, two, one} {
		if err := c.Point(t.Context(), "latest", deploy.Image{Repository: repository, Digest: digest}); err != nil {
			t.Fatal(err)
		}
		if got := must(c.Resolve(t.Context(), repository, "latest")); got.Digest != digest {
			t.Errorf("latest is %s, want %s", got.Digest, digest)
		}
	}
	var missing *NotFound
	gone := deploy.Image{Repository: repository, Digest: "sha256:" + strings.Repeat("0", 64)}
	if err := c.Point(t.Context(), "latest", gone); !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
	if err := c.Point(t.Context(), "1.0.0", deploy.Image{Repository: repository, Digest: two}); err == nil {
		t.Error("the tag of a version was moved")
	}
}
