package version

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// scpLike is git's short form of an ssh address: git@github.com:acme/hello.
var scpLike = regexp.MustCompile(`^(?:[^/@:]+@)?([A-Za-z0-9.-]+):([^/].*|/.*)$`)

// remote is the address of origin for people and for image labels.
func (r *repository) remote() string {
	origin, ok := r.config.Remotes["origin"]
	if !ok || len(origin.URLs) == 0 {
		return ""
	}
	return webAddress(origin.URLs[0])
}

// webAddress turns the address of a remote into one of https that holds no
// credentials. It is empty for a path on this machine.
func webAddress(remote string) string {
	if filepath.VolumeName(remote) != "" {
		return ""
	}
	if !strings.Contains(remote, "://") {
		m := scpLike.FindStringSubmatch(remote)
		if m == nil {
			return ""
		}
		return https(m[1], m[2])
	}
	u, err := url.Parse(remote)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "https", "http":
		return https(u.Host, u.Path)
	case "ssh", "git", "git+ssh", "ssh+git":
		return https(u.Hostname(), u.Path) // the port is that of another protocol
	}
	return ""
}

func https(host, path string) string {
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	if host == "" || path == "" {
		return ""
	}
	u := url.URL{Scheme: "https", Host: host, Path: "/" + path}
	return u.String()
}
