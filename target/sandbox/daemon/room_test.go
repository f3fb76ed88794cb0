package daemon

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// documentOf is a JSON document that says a text of n bytes.
func documentOf(t *testing.T, n int) []byte {
	t.Helper()
	data, err := json.Marshal(strings.Repeat("x", n))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// says checks what a file says, whatever follows the document in it.
func says(t *testing.T, path string, want []byte) {
	t.Helper()
	var got json.RawMessage
	if _, err := readJSON(path, &got); err != nil || !bytes.Equal(bytes.TrimSpace(got), want) {
		t.Errorf("%s says %.40q, %v, want %.40q", path, got, err, want)
	}
}

// length of a file in bytes.
func length(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestRoomIsThereForTheNextDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, n := range []int{10, 20, roomUnit - 2, roomUnit, 10 * roomUnit, 3, 9 * roomUnit} {
		data := documentOf(t, n)
		if err := replaceInRoom(path, data); err != nil {
			t.Fatal(err)
		}
		says(t, path, data)
		for _, file := range []string{path, path + spareSuffix} {
			if got, least := length(t, file), int64(len(data)+roomUnit); got < least {
				t.Errorf("%s has %d bytes; a document of %d may grow to %d", file, got, len(data), least)
			}
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 2 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

// What a killed process, or a person, may have done to the files in between.
func TestRoomAfterACrash(t *testing.T) {
	before, after := documentOf(t, 100), documentOf(t, 200)
	for name, harm := range map[string]func(path string) error{
		"the spare is torn":        func(path string) error { return os.WriteFile(path+spareSuffix, []byte(`{"half`), 0o600) },
		"the spare is empty":       func(path string) error { return os.WriteFile(path+spareSuffix, nil, 0o600) },
		"the spare is gone":        func(path string) error { return os.Remove(path + spareSuffix) },
		"the spare is a long one":  func(path string) error { return os.WriteFile(path+spareSuffix, make([]byte, 1<<20), 0o600) },
		"the document has no room": func(path string) error { return os.WriteFile(path, before, 0o600) },
		"the document ends in nuls": func(path string) error {
			return os.WriteFile(path, append(before[:len(before):len(before)], 0, 0), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			if err := replaceInRoom(path, before); err != nil {
				t.Fatal(err)
			}
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			says(t, path, before)
			for range 2 {
				if err := replaceInRoom(path, after); err != nil {
					t.Fatal(err)
				}
				says(t, path, after)
			}
		})
	}
}

func TestRoomKeepsWhatCannotBeReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	before := documentOf(t, 100)
	if err := replaceInRoom(path, before); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + spareSuffix); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+spareSuffix, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceInRoom(path, documentOf(t, 200)); err == nil {
		t.Error("it was replaced")
	}
	says(t, path, before)
}
