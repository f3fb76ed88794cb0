package cloud

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/oauth2"
	"k8s.io/client-go/tools/clientcmd/api"
)

// microsoftServer is the application that every AKS cluster is to Entra ID.
//
// Source: https://azure.github.io/kubelogin/concepts/aks.html
const microsoftServer = "6dae42f8-4368-4678-94ff-3960e28e3630"

// microsoft gets a token of Entra ID for the cluster with what the Azure SDK finds:
// variables, workload identity, managed identity, az login.
func microsoft(program *api.ExecConfig) *Login {
	return microsoftWith(program, &azidentity.DefaultAzureCredentialOptions{
		TenantID: first(option(program.Args, "--tenant-id", "-t"), variable(program, "AZURE_TENANT_ID")),
	})
}

func microsoftWith(program *api.ExecConfig, options *azidentity.DefaultAzureCredentialOptions) *Login {
	server := first(option(program.Args, "--server-id"), microsoftServer)
	return &Login{
		Name: "the Azure SDK",
		hint: "have the job log in to Azure first (azure/login with client-id and tenant-id, and permissions: id-token: write), or install kubelogin",
		get: func(ctx context.Context) (*oauth2.Token, error) {
			identity, err := azidentity.NewDefaultAzureCredential(options)
			if err != nil {
				return nil, err
			}
			token, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{server + "/.default"}})
			if _, refused := errors.AsType[*azidentity.AuthenticationFailedError](err); refused {
				// Its text holds the whole answer of the server.
				return nil, errors.New("refused by Entra ID with what this machine has")
			}
			if err != nil {
				return nil, errors.New("this machine has no credentials of Azure that can be used")
			}
			return &oauth2.Token{AccessToken: token.Token, TokenType: "Bearer", Expiry: token.ExpiresOn.Add(-time.Minute)}, nil
		},
	}
}
