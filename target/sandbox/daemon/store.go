package daemon

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// key names an environment of an app.
type key struct{ app, name string }

// String reads "hello/production".
func (k key) String() string { return k.app + "/" + k.name }

// check refuses names that cannot be a folder's.
func (k key) check() error {
	for _, name := range []string{k.app, k.name} {
		if name == "" || strings.HasPrefix(name, ".") || len(name) > 63 {
			return deploy.Usage("use 1 to 63 characters of a-z, 0-9 and '-'", "%q is not a name of an app or an environment", name)
		}
	}
	return nil
}

// dir is the environment's folder below another.
func (k key) dir(base string) string {
	return filepath.Join(base, url.PathEscape(k.app), url.PathEscape(k.name))
}

// store keeps the documents and secrets of all environments in a folder:
// APP/ENVIRONMENT/state.json and secrets.json. A document can be replaced on a
// full disk; see replaceInRoom.
type store struct{ dir string }

func (s store) statePath(k key) string   { return filepath.Join(k.dir(s.dir), "state.json") }
func (s store) secretsPath(k key) string { return filepath.Join(k.dir(s.dir), "secrets.json") }

// keys lists what is stored.
func (s store) keys() ([]key, error) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "*", "*", "state.json"))
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	var all []key
	for _, path := range paths {
		dir := filepath.Dir(path)
		name, errName := url.PathUnescape(filepath.Base(dir))
		app, errApp := url.PathUnescape(filepath.Base(filepath.Dir(dir)))
		if errors.Join(errName, errApp) == nil {
			all = append(all, key{app: app, name: name})
		}
	}
	return all, nil
}

// load reads an environment; one that is not stored is empty.
func (s store) load(k key) (document, map[string]string, error) {
	doc, secrets := document{}, map[string]string{}
	absent, err := readJSON(s.statePath(k), &doc)
	if err == nil && !absent && (doc.App != k.app || doc.Environment != k.name) {
		err = fmt.Errorf("%s is not about this environment", s.statePath(k))
	}
	if err == nil {
		_, err = readJSON(s.secretsPath(k), &secrets)
	}
	if err == nil {
		err = removeLeftovers(k.dir(s.dir))
	}
	if err != nil {
		return document{}, nil, deploy.Hinted(fmt.Errorf("the state of %s cannot be read: %w", k, err),
			"restore the file, or remove it to begin with an empty environment, then run slipway sandbox down and slipway sandbox up")
	}
	doc.App, doc.Environment = k.app, k.name
	return doc, secrets, nil
}

// save writes a document.
func (s store) save(k key, doc document) error {
	if err := s.prepare(k); err != nil {
		return err
	}
	return writeJSON(s.statePath(k), doc, replaceInRoom)
}

// saveSecrets writes the values of secrets, by name@version.
func (s store) saveSecrets(k key, secrets map[string]string) error {
	if err := s.prepare(k); err != nil {
		return err
	}
	return writeJSON(s.secretsPath(k), secrets, replace)
}

// prepare makes the environment's folder.
func (s store) prepare(k key) error {
	dir := k.dir(s.dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError(dir, err)
	}
	return nil
}

// remove forgets an environment.
func (s store) remove(k key) error {
	dir := k.dir(s.dir)
	err := os.RemoveAll(dir)
	_ = os.Remove(filepath.Dir(dir)) // fails while the app has others
	return err
}

// learn adds the values that a revision brings to those that are known, and
// refuses a secret of which no value is known. It gives back the same map when
// nothing is new.
func learn(k key, known map[string]string, r deploy.Revision, values map[string]string) (map[string]string, error) {
	all, changed := known, false
	for _, s := range r.Secrets {
		value, has := known[s.String()]
		switch brought := values[s.Name]; {
		case brought != "" && brought != value:
			if !changed {
				all, changed = maps.Clone(known), true
			}
			all[s.String()] = brought
		case !has && brought == "":
			return nil, deploy.Hinted(fmt.Errorf("the value of secret %s in version %s is not known in %s", s.Name, s.Version, k),
				"set %s in the environment of this command, so that a new revision carries it", s.Name)
		}
	}
	return all, nil
}

// needed keeps the values that any of the revisions refers to.
func needed(known map[string]string, revisions []deploy.Revision) map[string]string {
	kept := map[string]string{}
	for _, r := range revisions {
		for _, s := range r.Secrets {
			if value, has := known[s.String()]; has {
				kept[s.String()] = value
			}
		}
	}
	return kept
}
