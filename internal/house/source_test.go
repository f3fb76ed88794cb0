package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/slipway-ci/slipway"

// root is the top of the repository, from this package's folder.
const root = "../.."

// source is one Go file of the repository. Files are read as they lie, not as
// a build sees them, so that the files of other systems are held to the rules.
type source struct {
	// path is relative to the root, with slashes.
	path string
	ast  *ast.File
	fset *token.FileSet
}

// room is the folder, which is the package.
func (s source) room() string { return path.Dir(s.path) }

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// ours are the imports from this repository, by their rooms.
func (s source) ours() []string {
	var rooms []string
	for _, i := range s.ast.Imports {
		if p, found := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module+"/"); found {
			rooms = append(rooms, p)
		}
	}
	return rooms
}

// foreign are the imports that are neither ours nor the standard library's.
func (s source) foreign() []string {
	var all []string
	for _, i := range s.ast.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		first, _, _ := strings.Cut(p, "/")
		if strings.Contains(first, ".") && !strings.HasPrefix(p, module) {
			all = append(all, p)
		}
	}
	return all
}

// parse makes a source of a text; tests make bad samples with it.
func parse(t *testing.T, path, text string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{path: path, ast: file, fset: fset}
}

// parsed are the sources once somebody has asked for them: to read a thousand files
// takes longer than all that is asked of them.
var parsed []source

// sources are all Go files but those that tests read as data.
func sources(t *testing.T) []source {
	t.Helper()
	if parsed != nil {
		return parsed
	}
	var all []source
	for _, path := range files(t) {
		if strings.HasSuffix(path, ".go") && !strings.Contains("/"+path, "/testdata/") {
			all = append(all, parse(t, path, read(t, path)))
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d Go files were found under %s", len(all), root)
	}
	parsed = all
	return all
}

// files are all files of the repository, relative to its root.
func files(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && ignored(path):
			return fs.SkipDir
		case entry.Type().IsRegular() && !ignored(path):
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ignored are the folders that .gitignore names, and git's own, which is a
// file in a second work tree.
func ignored(path string) bool {
	return path == ".git" || path == "bin" || path == "dist"
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
