package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	head  = "app: hello\nbuild: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}\n"
	place = "environments: {production: {target: sandbox}}\n"
)

// TestRefused gives a release what cannot be right. It ends with the exit code,
// says what is wrong, where, what would be valid and what to do, and has
// changed nothing for the version that is live.
func TestRefused(t *testing.T) {
	tests := []struct {
		name string
		// file is slipway.yaml.
		file string
		// prepare does something to the folder, whose path it gets.
		prepare func(dir string) error
		args    []string
		code    int
		says    []string
	}{
		{
			name: "no file", prepare: func(dir string) error { return os.Remove(filepath.Join(dir, "slipway.yaml")) },
			code: 2, says: []string{"no slipway.yaml in", ".github", "slipway init", "--config"},
		},
		{
			name: "two files", file: head + place,
			prepare: func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "slipway.yml"), []byte(head+place), 0o644)
			},
			code: 2, says: []string{"slipway.yaml", "slipway.yml"},
		},
		{
			name: "a folder in its place", prepare: func(dir string) error {
				path := filepath.Join(dir, "slipway.yaml")
				return errors.Join(os.Remove(path), os.Mkdir(path, 0o755))
			},
			code: 2, says: []string{"slipway.yaml", "folder"},
		},
		{
			name: "malformed", file: head + "environments: {production: {target: sandbox}\n",
			code: 2, says: []string{"slipway.yaml:3:", "environments: {production", "^"},
		},
		{name: "empty", file: "\n", code: 2, says: []string{"slipway.yaml", "slipway init"}},
		{
			name: "unknown key", file: head + "servce: {replicas: 2}\n" + place,
			code: 2, says: []string{"slipway.yaml:3:1", `unknown key "servce"`, "servce: {replicas: 2}", "did you mean service?", "environments"},
		},
		{
			name: "wrong type", file: head + "service: {replicas: [two]}\n" + place,
			code: 2, says: []string{"slipway.yaml:3:21", "replicas", "whole number"},
		},
		{
			name: "two mistakes", file: head + "service: {replicas: 0, port: 99999}\n" + place,
			code: 2, says: []string{"slipway.yaml:3:21", "replicas", "slipway.yaml:3:30", "port", "65535"},
		},
		{name: "no environments", file: head + "environments: {}\n", code: 2, says: []string{"slipway.yaml:3:", "environments"}},
		{
			name: "a cycle", file: head + "environments:\n  a: {target: sandbox, after: b}\n  b: {target: sandbox, after: a}\n",
			code: 2, says: []string{"slipway.yaml:4:", "after", "a", "b"},
		},
		{
			name: "after an unknown one", file: head + "environments:\n  production: {target: sandbox, after: stagin}\n  staging: {target: sandbox}\n",
			code: 2, says: []string{"slipway.yaml:4:", "stagin", "staging"},
		},
		{
			name: "an unknown target", file: head + "environments: {production: {target: mainframe}}\n",
			code: 2, says: []string{"slipway.yaml:3:", "mainframe", "kubernetes, sandbox"},
		},
		{
			name: "a cluster and no registry that it reaches", file: head + "environments: {production: {target: kubernetes}}\n",
			code: 2, says: []string{"production runs in a cluster", "add image: ghcr.io/acme/hello"},
		},
		{
			name: "an unknown strategy", file: head + "environments: {production: {target: sandbox, strategy: flag}}\n",
			code: 2, says: []string{"slipway.yaml:3:", "flag", "recreate", "rolling", "blue-green", "canary"},
		},
		{
			name: "steps out of order", file: head + "environments: {production: {target: sandbox, strategy: {canary: {steps: [50%, 10%, 100%]}}}}\n",
			code: 2, says: []string{"slipway.yaml:3:", "steps", "10%", "50%"},
		},
		{
			name: "steps above all", file: head + "environments: {production: {target: sandbox, strategy: {canary: {steps: [50%, 150%]}}}}\n",
			code: 2, says: []string{"slipway.yaml:3:", "150%", "100%"},
		},
		{
			name: "an expression that is none", file: head + "checks: [{name: home, get: /, expect: 'statu == 200'}]\n" + place,
			code: 2, says: []string{"slipway.yaml:3:", "statu", "status"},
		},
		{name: "a version that is none", file: head + place, args: []string{"--version", "1.x"}, code: 2, says: []string{`"1.x"`, "1.4.2"}},
		{
			name: "a version that no tag can hold", file: head + place, args: []string{"--version", "1.0.0+lin_ux"},
			code: 2, says: []string{"1.0.0+lin_ux", "1.4.2+build.5"},
		},
		{name: "no version", file: head + place, args: []string{"--version", ""}, code: 2, says: []string{"no version", "--version 1.0.0", "git"}},
		{
			name: "a strategy that is none", file: head + place, args: []string{"--strategy", "gradual"},
			code: 2, says: []string{`"gradual"`, "recreate, rolling, blue-green, canary"},
		},
		{
			name: "an environment that is none", file: head + place, args: []string{"--environment", "prod"},
			code: 2, says: []string{`"prod"`, "production"},
		},
		{
			name: "a secret without a value", file: head + "service: {secrets: [NO_SUCH_KEY]}\n" + place,
			code: 2, says: []string{"NO_SUCH_KEY", "production", "environment variable"},
		},
		{
			name: "a file that is missing", file: "app: hello\nbuild: {files: [{from: bin/absent, to: /hello}], entrypoint: [/hello]}\n" + place,
			code: 1, says: []string{"build.files[0]", "bin/absent", "relative to the folder of slipway.yaml"},
		},
		{
			name: "a link that leaves the folder", file: "app: hello\nbuild: {files: [{from: tree, to: /tree}], entrypoint: [/hello]}\n" + place,
			prepare: func(dir string) error {
				return errors.Join(os.Mkdir(filepath.Join(dir, "tree"), 0o755), os.Symlink("/etc/passwd", filepath.Join(dir, "tree", "link")))
			},
			code: 1, says: []string{"build.files[0]", "tree/link", "/etc/passwd", "relative link"},
		},
		{
			name: "a base that cannot be had", file: strings.Replace(head, "{files", "{base: '127.0.0.1:1/acme/base:1', files", 1) + place,
			code: 1, says: []string{"127.0.0.1:1/acme/base:1", "connection refused"},
		},
		{
			name: "a registry that cannot be reached", file: "image: 127.0.0.1:1/acme/hello\n" + head + place,
			code: 1, says: []string{"127.0.0.1:1", "connection refused"},
		},
		{
			name: "a version that is taken", file: head + place, args: []string{"--version", "1.0.0"},
			code: 1, says: []string{"version 1.0.0 is taken", "sha256:", "and this build is sha256:", "another version", "slipway promote --version 1.0.0"},
		},
	}
	t.Parallel()
	s := newScene(t, "recreate")
	before := s.status(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			err := errors.Join(
				os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(tt.file), 0o644),
				os.WriteFile(filepath.Join(dir, "hello"), []byte("another program"), 0o755),
			)
			if err == nil && tt.prepare != nil {
				err = tt.prepare(dir)
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd := s.command(append([]string{"release", "--version", "2.0.0"}, tt.args...)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if code, err := exitCodeOf(err); err != nil || code != tt.code {
				t.Errorf("exits with %d (%v), want %d", code, err, tt.code)
			}
			for _, want := range tt.says {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if after := s.status(t); after != before {
				t.Errorf("the status has changed from\n%s\nto\n%s", before, after)
			}
			if t.Failed() {
				t.Logf("it says\n%s", out)
			}
		})
	}
}
