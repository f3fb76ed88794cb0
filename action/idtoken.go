package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sethvargo/go-githubactions"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// idTokenURL and idTokenKey are the variables by which a job asks for its
	// OIDC token. A runner sets them where the job has the permission.
	// Source: https://docs.github.com/en/actions/reference/security/oidc
	idTokenURL = "ACTIONS_ID_TOKEN_REQUEST_URL"
	idTokenKey = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

	// idTokenLimit bounds the wait for a token, idTokenTries how often it is
	// asked for.
	idTokenLimit = 30 * time.Second
	idTokenTries = 3
)

// IDToken asks GitHub for the OIDC token of this job: a signed statement which
// repository, ref and environment run here, issued for the audience alone. It
// lasts some minutes. It is masked before it is returned, waited for at most
// 30 s, and asked for up to 3 times where GitHub is not well.
//
// Without a runner, and in a job that may not ask, the error is a deploy.Usage.
func (r *Runner) IDToken(ctx context.Context, audience string) (string, error) {
	return r.idToken(ctx, audience, idTokenLimit)
}

func (r *Runner) idToken(ctx context.Context, audience string, limit time.Duration) (string, error) {
	if err := r.mayAsk(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %s waiting for GitHub", limit))
	defer cancel()
	attempt := func() (string, error) {
		token, err := r.commands.GetIDToken(ctx, audience)
		if err == nil && token == "" {
			err = backoff.Permanent(errors.New("the answer has none"))
		}
		return token, worthAnother(err)
	}
	token, err := backoff.Retry(ctx, attempt, backoff.WithMaxTries(idTokenTries))
	if err != nil {
		return "", noIDToken(ctx, err)
	}
	r.AddMask(token)
	return token, nil
}

// mayAsk refuses where there is no token to be had.
func (r *Runner) mayAsk() error {
	switch {
	case !r.Present():
		return deploy.Usage("run it in a job of GitHub Actions with permissions: {id-token: write}",
			"there is no OIDC token here: this is no job of GitHub Actions")
	case r.getenv(idTokenURL) == "" || r.getenv(idTokenKey) == "":
		return deploy.Usage("give the job permissions: {id-token: write}, beside those that it has; "+
			"the job of a pull request from a fork cannot get it",
			"this job may not have an OIDC token")
	}
	return nil
}

// worthAnother tells errors that may go away by themselves.
func worthAnother(err error) error {
	var refused *githubactions.RequestFailedError
	if !errors.As(err, &refused) || refused.StatusCode >= http.StatusInternalServerError ||
		refused.StatusCode == http.StatusTooManyRequests {
		return err
	}
	return backoff.Permanent(err)
}

// noIDToken says why there is no token.
func noIDToken(ctx context.Context, err error) error {
	const operation = "ask GitHub for an OIDC token"
	var refused *githubactions.RequestFailedError
	var way *url.Error
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return fmt.Errorf("%s: interrupted", operation)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", operation, context.Cause(ctx))
	case errors.As(err, &refused):
		return deploy.Hinted(fmt.Errorf("%s: it answered %d%s", operation, refused.StatusCode, reasonIn(refused.Body)),
			"check the audience that it is asked for, and that the job has permissions: {id-token: write}")
	case errors.As(err, &way): // without the address, which says nothing to anybody
		return deploy.Hinted(fmt.Errorf("%s: %w", operation, way.Err), "check that this runner reaches GitHub, and run it again")
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// reasonIn is the message in an answer of GitHub's, in one line.
func reasonIn(body string) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal([]byte(body), &answer) != nil || answer.Message == "" {
		return ""
	}
	text := []rune(strings.Join(strings.Fields(answer.Message), " "))
	return ": " + string(text[:min(len(text), 200)])
}
