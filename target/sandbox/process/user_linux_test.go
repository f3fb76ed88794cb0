package process

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUsersThatExist(t *testing.T) {
	for _, c := range []struct {
		name, ids string
		id        int
		want      bool
	}{
		{"all of them", "         0          0 4294967295\n", firstUser + 1, true},
		{"few of them", "0 100000 65536\n", firstUser + 1, false},
		{"the last", "0 100000 65536\n", 65535, true},
		{"past the last", "0 100000 65536\n", 65536, false},
		{"in a second line", "0 1000 1\n1 100000 65536\n", 65536, true},
		{"root alone", "0 1000 1\n", firstOfFew, false},
		{"none", "", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "map")
			if err := os.WriteFile(file, []byte(c.ids), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := isMapped(file, c.id); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// TestNobodyBecomesRoot holds back the hand of whoever kills all processes of
// a user.
func TestNobodyBecomesRoot(t *testing.T) {
	for _, user := range []int{0, -1} {
		if err := onOwnThread(func() error { return become(user) }); err == nil {
			t.Errorf("became %d", user)
		}
	}
	if err := onOwnThread(func() error { return mustBe(firstUser) }); err == nil {
		t.Errorf("user %d passes for another", os.Getuid())
	}
}
