package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// travel sends an error over the wire.
func travel(t *testing.T, err error) error {
	t.Helper()
	content, errJSON := json.Marshal(wire.Encode(err))
	if errJSON != nil {
		t.Fatal(errJSON)
	}
	var e wire.Error
	if errJSON := json.Unmarshal(content, &e); errJSON != nil {
		t.Fatal(errJSON)
	}
	return e.Decode()
}

func TestErrorsArriveAsTheyWere(t *testing.T) {
	doomed := &deploy.Doomed{
		Revision: deploy.Revision{ID: "17"}, Hint: "look at the log",
		Evidence: deploy.Evidence{Replica: "17-1", Reason: "exited with code 1", Log: []string{"last words"}},
	}
	locked := &deploy.Locked{Environment: "production", Lock: deploy.Lock{Owner: deploy.Owner{Run: "7", Who: "ada"}, Since: time.Unix(1, 0)}}
	for name, err := range map[string]error{
		"plain": errors.New("it is broken"), "conflict": deploy.ErrConflict, "canceled": context.Canceled,
		"deadline": context.DeadlineExceeded, "doomed": doomed, "locked": locked,
		"hinted": deploy.Hinted(errors.New("full"), "free space"), "usage": deploy.Usage("use 1", "2 is wrong"),
		"hinted conflict": deploy.Hinted(deploy.ErrConflict, "look"),
	} {
		t.Run(name, func(t *testing.T) {
			sent := fmt.Errorf("write the journal: %w", err)
			got := travel(t, sent)
			if got.Error() != sent.Error() {
				t.Errorf("says %q, not %q", got, sent)
			}
			if deploy.HintOf(got) != deploy.HintOf(sent) || deploy.IsUsage(got) != deploy.IsUsage(sent) {
				t.Errorf("hint %q, usage %t", deploy.HintOf(got), deploy.IsUsage(got))
			}
			for _, cause := range []error{deploy.ErrConflict, context.Canceled, context.DeadlineExceeded} {
				if errors.Is(got, cause) != errors.Is(sent, cause) {
					t.Errorf("is %v: %t", cause, errors.Is(got, cause))
				}
			}
		})
	}
	if got, ok := errors.AsType[*deploy.Doomed](travel(t, doomed)); !ok || got.Hint != doomed.Hint || got.Evidence.Log[0] != "last words" {
		t.Errorf("doomed arrives as %+v", got)
	}
	if got, ok := errors.AsType[*deploy.Locked](travel(t, locked)); !ok || got.Lock.Owner.Who != "ada" {
		t.Errorf("locked arrives as %+v", got)
	}
}

func TestSecretsTravelBesideTheirRevision(t *testing.T) {
	r := deploy.Revision{ID: "17", Secrets: []deploy.Secret{deploy.KnownSecret("A", "1", "a"), deploy.KnownSecret("B", "1", "")}}
	content, err := json.Marshal(wire.Request{}.WithRevision(r))
	if err != nil {
		t.Fatal(err)
	}
	var got wire.Request
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Secrets) != 1 || got.Secrets["A"] != "a" || len(got.Revision.Secrets) != 2 || got.Revision.Secrets[0].Reveal() != "" {
		t.Errorf("got %d values for %v", len(got.Secrets), got.Revision.Secrets)
	}
}
