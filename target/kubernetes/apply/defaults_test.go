package apply

import (
	"context"
	"slices"
	"testing"
)

// Who makes an object by a write that is no apply owns the server's defaults, too: they
// are no drift once the object is taken over, and what else that writer has in it is.
func TestDefaultsAreNoDrift(t *testing.T) {
	t.Parallel()
	c := open(t)
	written := `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80}]}}`
	made := object(t, written)
	made.SetNamespace(c.namespace)
	at, err := c.client.place(t.Context(), made.GroupVersionKind(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	encoded := text(made.Object)
	path := at.path(ReferenceOf(made))
	err = again(t.Context(), c.options().patience(), func(ctx context.Context) error {
		return c.client.rest.Post().AbsPath(path[:len(path)-1]...).Param("fieldManager", "kubectl-create").
			SetHeader("Content-Type", "application/json").Body([]byte(encoded)).Do(ctx).Error()
	})
	if err != nil {
		t.Fatal(err)
	}
	c.apply(c.options(), object(t, written))
	if found := c.drift(written); len(found) != 0 {
		t.Errorf("there is a difference at once: %q", c.said(found))
	}
	c.change("Service", "web", "kubectl-edit", `{"spec":{"sessionAffinity":"ClientIP"}}`)
	found := c.drift(written)
	said := c.said(found)
	want := []string{
		`Service web: .spec.sessionAffinity was added by "kubectl-edit" (Update): "ClientIP"`,
		`Service web: .spec.sessionAffinityConfig was added by "kubectl-edit" (Update): {"clientIP":{"timeoutSeconds":10800}}`,
	}
	if !slices.Equal(said, want) {
		t.Errorf("drift is %q", said)
	}
}
