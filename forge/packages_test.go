package forge

import (
	"fmt"
	"testing"

	"github.com/slipway-ci/slipway/forge/githubtest"
)

func digest(n int) string { return fmt.Sprintf("sha256:%064d", n) }

// Images are found on every page, whoever the owner is.
func TestRemoveFromPackages(t *testing.T) {
	for user, count := range map[bool]int{false: 130, true: 20} {
		server := githubtest.New(t)
		server.Permissions = map[string]string{"packages": "write"}
		for n := range count {
			server.AddImage(githubtest.Image{Owner: "acme", User: user, Package: "hello/web", ID: int64(1000 + n), Digest: digest(n), Tags: []string{fmt.Sprintf("1.0.0-rc.%d", n)}})
		}
		server.AddImage(githubtest.Image{Owner: "acme", User: user, Package: "other", ID: 1, Digest: digest(7), Tags: []string{"1.0.0"}})
		p := connect(t, server).Package("acme", "hello/web")
		for _, n := range []int{7, count - 1, count - 1, 500} { // the last two are not there
			if err := p.Remove(t.Context(), digest(n)); err != nil {
				t.Fatalf("user %v: %v", user, err)
			}
		}
		left := map[string]bool{}
		for _, i := range server.Images() {
			left[i.Package+" "+i.Digest] = true
		}
		if len(left) != count-1 || left["hello/web "+digest(7)] || left["hello/web "+digest(count-1)] || !left["other "+digest(7)] {
			t.Errorf("user %v: %d images are left", user, len(left))
		}
	}
}

func TestRemoveFromPackagesIsRefused(t *testing.T) {
	server := githubtest.New(t)
	server.Permissions = map[string]string{"packages": "read"}
	server.AddImage(githubtest.Image{Owner: "acme", Package: "hello", ID: 1, Digest: digest(1), Tags: []string{"1.0.0"}})
	err := connect(t, server).Package("acme", "hello").Remove(t.Context(), digest(1))
	if status(err) == 0 || len(server.Images()) != 1 {
		t.Errorf("got %v, %d images", err, len(server.Images()))
	}
}
