package dockerfile

import (
	"context"

	"github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"
)

// Login finds user and password for a registry; both are empty where it is
// spoken to anonymously.
type Login func(ctx context.Context, host string) (user, password string, err error)

// credentials answers a builder that has to log in, to pull a base image and
// for its cache.
type credentials struct {
	auth.UnimplementedAuthServer
	login Login
}

// Register implements session.Attachable.
func (c *credentials) Register(server *grpc.Server) { auth.RegisterAuthServer(server, c) }

// hub is what Docker's client calls the registry that others call docker.io.
const hub = "index.docker.io"

// Credentials implements auth.AuthServer.
func (c *credentials) Credentials(ctx context.Context, r *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	host := r.GetHost()
	if host == "registry-1.docker.io" || host == "docker.io" {
		host = hub
	}
	user, password, err := c.login(ctx, host)
	if err != nil {
		return nil, err
	}
	if user == "<token>" { // an identity token, which BuildKit wants without a name
		user = ""
	}
	return &auth.CredentialsResponse{Username: user, Secret: password}, nil
}
