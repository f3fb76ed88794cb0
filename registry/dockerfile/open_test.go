package dockerfile

import (
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestNoSecretGoesUnencryptedToAnotherMachine(t *testing.T) {
	for address, open := range map[string]bool{
		"tcp://buildkitd:1234": true, "tcp://192.0.2.1:1234": true, "tcp://[2001:db8::1]:1234": true,
		"tcp://127.0.0.1:1234": false, "tcp://localhost:1234": false, "tcp://[::1]:1234": false,
		"unix:///run/buildkitd.sock": false, "docker-container://builder": false,
	} {
		if got := isOpen(address); got != open {
			t.Errorf("%s: open %v", address, got)
		}
		b := &builder{name: address, open: isOpen(address)}
		if err := b.suits(Spec{}, 1, func(deploy.Event) {}); deploy.IsUsage(err) != open {
			t.Errorf("%s, with a secret: %v", address, err)
		}
		if err := b.suits(Spec{}, 0, func(deploy.Event) {}); err != nil {
			t.Errorf("%s, without one: %v", address, err)
		}
	}
	if (Place{Engine: "tcp://192.0.2.1:2376", Certificates: "/certs"}).open() || !(Place{Engine: "tcp://192.0.2.1:2375"}).open() {
		t.Error("an engine with certificates is closed, one without is open")
	}
}
