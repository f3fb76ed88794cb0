package cloud

import (
	"context"

	"golang.org/x/oauth2"
	googleauth "golang.org/x/oauth2/google"
)

// googleScope is what a token may be used for; what it may do there, IAM and RBAC
// say.
const googleScope = "https://www.googleapis.com/auth/cloud-platform"

// google is Application Default Credentials, as google-github-actions/auth leaves
// them: a key, a federation by OIDC, or the metadata service.
func google() *Login {
	return &Login{
		Name: "Google's library",
		hint: "have the job log in to Google Cloud first (google-github-actions/auth with workload_identity_provider, and permissions: id-token: write), or install gke-gcloud-auth-plugin",
		get: func(ctx context.Context) (*oauth2.Token, error) {
			found, err := googleauth.FindDefaultCredentials(ctx, googleScope)
			if err != nil {
				return nil, err
			}
			return found.TokenSource.Token()
		},
	}
}
