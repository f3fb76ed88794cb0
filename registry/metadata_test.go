package registry

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// A registry takes build metadata by another name of the tag, and everybody
// else sees the version as it is.
func TestBuildMetadata(t *testing.T) {
	host := serve(t, nil)
	c, repository, version := impatient(), host+"/acme/hello", "1.4.2+build.5"
	spec := webSpec(folderOf(t, web))
	spec.Version = version
	p := packWith(t, c, spec)
	image, sent, err := c.Push(t.Context(), p, repository, version)
	if err != nil || !sent || image.Version != version {
		t.Fatalf("got %+v, %v, %v", image, sent, err)
	}
	if want := repository + ":1.4.2_build.5@" + image.Digest; image.String() != want {
		t.Errorf("the image is %s, want %s", image, want)
	}
	tags, err := c.Versions(t.Context(), repository)
	if err != nil || !slices.Equal(tags, []string{version}) {
		t.Errorf("versions %q, %v", tags, err)
	}
	for _, by := range []string{version, "1.4.2_build.5"} {
		if found, err := c.Resolve(t.Context(), repository, by); err != nil || found.Digest != image.Digest {
			t.Errorf("by %s: %+v, %v", by, found, err)
		}
	}
	m, config := must(p.Manifest()), must(p.ConfigFile())
	for where, labels := range map[string]map[string]string{"annotation": m.Annotations, "label": config.Config.Labels} {
		if labels[keyVersion] != version {
			t.Errorf("the %s is %q", where, labels[keyVersion])
		}
	}
	spec.Version = "1.4.2+build.6"
	_, _, err = c.Push(t.Context(), packWith(t, c, spec), repository, version)
	var took *Taken
	if !errors.As(err, &took) || took.Version != version {
		t.Errorf("got %v", err)
	}
}

func TestVersionOf(t *testing.T) {
	got := map[string]string{}
	for _, tag := range []string{"1.4.2", "1.4.2_build.5", "1.5.0-rc.1_5", "1.4.2_a_b", "my_tag", "1.4_build", "_", "latest"} {
		got[tag] = versionOf(tag)
	}
	want := map[string]string{
		"1.4.2": "1.4.2", "1.4.2_build.5": "1.4.2+build.5", "1.5.0-rc.1_5": "1.5.0-rc.1+5",
		"1.4.2_a_b": "1.4.2_a_b", "my_tag": "my_tag", "1.4_build": "1.4_build", "_": "_", "latest": "latest",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzVersionOf(f *testing.F) {
	for _, seed := range []string{"1.4.2", "1.4.2+build.5", "1.5.0-rc.1+05.a-b", "1.4.2_build", "my_tag", "1.4.2+a_b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !isVersion(name) {
			if got := versionOf(name); got != name && !isVersion(got) {
				t.Errorf("%q is turned into %q", name, got)
			}
			return
		}
		tag := deploy.TagOf(name)
		if back := versionOf(tag); back != name {
			t.Errorf("%q has the tag %q, which is read as %q", name, tag, back)
		}
		if len(name) <= 128 && !tagForm.MatchString(tag) {
			t.Errorf("no registry takes %q", tag)
		}
	})
}
