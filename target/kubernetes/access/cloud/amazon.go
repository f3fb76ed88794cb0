package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/oauth2"
	"k8s.io/client-go/tools/clientcmd/api"
)

const (
	// amazonPrefix says that what follows is a signed address.
	amazonPrefix = "k8s-aws-v1."
	// amazonLife is shorter than the 15 minutes for which EKS takes a token.
	amazonLife = 13 * time.Minute
)

// amazonServer is the address of a cluster, with its region.
var amazonServer = regexp.MustCompile(`\.([a-z0-9-]+)\.eks\.amazonaws\.com(\.cn)?(:[0-9]+)?/?$`)

// amazon signs the question "who am I?" to STS for this cluster, which EKS asks in
// our place. Making a token is no request, besides those for credentials.
//
// Source: https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
func amazon(program *api.ExecConfig, server string) *Login {
	region := first(option(program.Args, "--region"), variable(program, "AWS_REGION", "AWS_DEFAULT_REGION"))
	if found := amazonServer.FindStringSubmatch(server); region == "" && found != nil {
		region = found[1]
	}
	cluster := option(program.Args, "--cluster-name", "--cluster-id", "-i")
	profile := first(option(program.Args, "--profile"), variable(program, "AWS_PROFILE"))
	role := option(program.Args, "--role-arn", "--role", "-r")
	return &Login{
		Name: "the AWS SDK",
		hint: "have the job log in to AWS first (aws-actions/configure-aws-credentials with role-to-assume, and permissions: id-token: write), or install the AWS CLI",
		get: func(ctx context.Context) (*oauth2.Token, error) {
			if cluster == "" {
				return nil, errors.New("the kubeconfig does not name the cluster (--cluster-name)")
			}
			var settings []func(*config.LoadOptions) error
			if region != "" {
				settings = append(settings, config.WithRegion(region))
			}
			if profile != "" {
				settings = append(settings, config.WithSharedConfigProfile(profile))
			}
			return amazonToken(ctx, cluster, role, settings)
		},
	}
}

func amazonToken(ctx context.Context, cluster, role string, settings []func(*config.LoadOptions) error) (*oauth2.Token, error) {
	loaded, err := config.LoadDefaultConfig(ctx, settings...)
	if err != nil {
		return nil, err
	}
	if loaded.Region == "" {
		return nil, errors.New("no region is known: the kubeconfig names none (--region), and neither does AWS_REGION")
	}
	if role != "" {
		loaded.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(loaded), role))
	}
	if _, err := loaded.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("this machine has no credentials that can be used: %w", err)
	}
	signed, err := sts.NewPresignClient(sts.NewFromConfig(loaded)).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{},
		sts.WithPresignClientFromClientOptions(sts.WithAPIOptions(
			smithyhttp.SetHeaderValue("x-k8s-aws-id", cluster),
			smithyhttp.SetHeaderValue("X-Amz-Expires", "60"),
		)))
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{
		AccessToken: amazonPrefix + base64.RawURLEncoding.EncodeToString([]byte(signed.URL)),
		TokenType:   "Bearer", Expiry: time.Now().Add(amazonLife),
	}, nil
}
