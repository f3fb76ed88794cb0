package pods

import (
	"regexp"
	"strings"
)

// tooMany is the status by which a registry asks for patience. Ports and digests have
// its digits among others.
var tooMany = regexp.MustCompile(`\b429\b`)

// pulling judges a container whose image is not there. Only what the registry
// itself said is final: that it has no such image, or that it does not give it
// to us. Everything else, a registry that is not reached say, is tried again.
func pulling(v Verdict, image string) Verdict {
	said := strings.ReplaceAll(v.Message, image, "") // a name may hold any word
	v.Cause = ImagePull
	v.Told = "cannot pull its image " + image + because(v.Reason, v.Message)
	v.Hint = "look at whether its node reaches the registry"
	switch {
	case containsAny(said, "code = unavailable", "toomanyrequests", "too many requests"), tooMany.MatchString(said):
	case containsAny(said, "code = notfound", ": not found", "manifest unknown", "name unknown", "404 not found"):
		v.State, v.Cause = Doomed, ImageMissing
		v.Told = "cannot pull its image: the registry has no " + image
		v.Hint = "look at where the image was pushed to"
	case containsAny(said, "unauthorized", "authorization failed", "insufficient_scope", "access denied", "denied:", "403 forbidden", "no basic auth credentials"):
		v.State, v.Cause = Doomed, ImageRefused
		v.Told = "cannot pull its image: the registry does not give it the image " + image
		v.Hint = "give the pod's service account, or the pod, an imagePullSecret that may read the image"
	}
	return v
}
