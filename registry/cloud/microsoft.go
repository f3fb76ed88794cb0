package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const (
	// microsoftScope is what a token is asked for that a registry exchanges.
	microsoftScope = "https://containerregistry.azure.net/.default"
	// microsoftUser says that the password is a token.
	microsoftUser = "00000000-0000-0000-0000-000000000000"
	// microsoftLife is less than the 3 hours that a registry's token lasts.
	microsoftLife = 2 * time.Hour
	maxAnswer     = 1 << 20
)

// microsoft gets a token of Entra ID with what the Azure SDK finds (variables,
// workload identity, managed identity, az login) and has the registry exchange it
// for one that it takes as a password.
//
// Source: https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
func (k *Keychain) microsoft(ctx context.Context, host string) (credential, error) {
	identity, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return k.nobody(), nil //nolint:nilerr // there is none, and others may have one
	}
	token, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{microsoftScope}})
	if _, refused := errors.AsType[*azidentity.AuthenticationFailedError](err); refused {
		return credential{}, errors.New("the answer of Entra ID: it refuses what this machine has")
	}
	if err != nil {
		return k.nobody(), nil //nolint:nilerr // as above
	}
	return k.exchange(ctx, "https://"+host, host, token)
}

// exchange asks a registry for a token of its own.
func (k *Keychain) exchange(ctx context.Context, at, host string, token azcore.AccessToken) (credential, error) {
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {token.Token}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return credential{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{
		Transport:     k.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would take the token along
	}
	answer, err := client.Do(r)
	if err != nil {
		return credential{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	var granted struct {
		RefreshToken string `json:"refresh_token"`
	}
	if answer.StatusCode != http.StatusOK {
		return credential{}, fmt.Errorf("the registry answered %d to the exchange of a token", answer.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&granted); err != nil || granted.RefreshToken == "" {
		return credential{}, errors.New("the registry's answer has no token")
	}
	return k.lasting(microsoftUser, granted.RefreshToken, k.clock().Add(microsoftLife)), nil
}
