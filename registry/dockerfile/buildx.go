package dockerfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// instance is a builder as buildx keeps it, in instances/NAME of its folder.
type instance struct {
	Name   string
	Driver string
	Nodes  []node
}

// node is one machine of a builder.
type node struct {
	Name string
	// Endpoint is the Docker engine that a container runs in, or the address of
	// a remote BuildKit.
	Endpoint   string
	DriverOpts map[string]string
}

// current is what the file of that name says: which builder is in use.
type current struct {
	Key    string
	Name   string
	Global bool
}

// instanceName is how buildx calls builders: nothing that leads out of its
// folder.
var instanceName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9._+-]*$`)

// buildxCurrent is the builder that buildx would use for a Docker engine: the
// named one, or the one in use; nil where there is none but the engine's own.
func buildxCurrent(dir, named, engine string) (*instance, error) {
	name := named
	var err error
	if name == "" {
		if name, err = nameInUse(dir, engine); err != nil {
			return nil, fmt.Errorf("read the builders of buildx: %w", err)
		}
	}
	if name == "" || name == "default" {
		return nil, nil
	}
	in, err := readInstance(dir, name)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		return nil, nil // it was removed since
	}
	if err != nil {
		return nil, fmt.Errorf("read the builder %s of buildx: %w", name, err)
	}
	return in, nil
}

// nameInUse is the name of the builder in use, empty where there is none.
func nameInUse(dir, engine string) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, "current"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	default:
		var c current
		if err := json.Unmarshal(content, &c); err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Join(dir, "current"), err)
		}
		if c.Name != "" && (c.Global || c.Key == engine) {
			return c.Name, nil
		}
	}
	hash := sha256.Sum256([]byte(engine))
	content, err = os.ReadFile(filepath.Join(dir, "defaults", hex.EncodeToString(hash[:])[:20]))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(content)), err
}

func readInstance(dir, name string) (*instance, error) {
	if !instanceName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of a builder", name)
	}
	content, err := os.ReadFile(filepath.Join(dir, "instances", strings.ToLower(name)))
	if err != nil {
		return nil, err
	}
	var in instance
	if err := json.Unmarshal(content, &in); err != nil {
		return nil, err
	}
	if len(in.Nodes) == 0 {
		return nil, errors.New("it has no node")
	}
	return &in, nil
}
