package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// amazon gets a password for 12 hours, with what the AWS SDK finds: variables,
// as configure-aws-credentials sets them, files, roles, the metadata service.
//
// Amazon's own credential helper would do the same. It also keeps passwords in a
// file under the home of whoever runs it, which nobody asked for here.
func (k *Keychain) amazon(ctx context.Context, host string) (credential, error) {
	parts := amazonHost.FindStringSubmatch(host)
	account, region := parts[1], parts[3]
	settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return credential{}, err
	}
	if _, err := settings.Credentials.Retrieve(ctx); err != nil {
		return k.nobody(), nil //nolint:nilerr // there are none, and others may have some
	}
	answer, err := ecr.NewFromConfig(settings).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{
		RegistryIds: []string{account}, //nolint:staticcheck // of another account than one's own, too
	})
	if err != nil {
		return credential{}, err
	}
	for _, data := range answer.AuthorizationData {
		if data.AuthorizationToken == nil || data.ExpiresAt == nil {
			continue
		}
		plain, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
		user, password, ok := strings.Cut(string(plain), ":")
		if err == nil && ok {
			return k.lasting(user, password, *data.ExpiresAt), nil
		}
	}
	return credential{}, errors.New("the answer has no password")
}
