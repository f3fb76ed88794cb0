package action

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rows are those of the README's table that follows a mark: the code in the
// first column, then the other columns as they stand.
func rows(t *testing.T, mark string) [][]string {
	t.Helper()
	content, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(content), "<!-- "+mark+":")
	table, _, ended := strings.Cut(after, "<!-- end of "+mark)
	if !found || !ended {
		t.Fatalf("README.md has no table of %s between its marks", mark)
	}
	var all [][]string
	for _, line := range regexp.MustCompile("(?m)^\\| `.*\\|$").FindAllString(table, -1) {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, cells)
	}
	return all
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func TestReadmeListsEveryInput(t *testing.T) {
	var want [][]string
	for _, s := range InputSpecs() {
		want = append(want, []string{code(s.Name), code(s.Default), s.Description})
	}
	if diff := cmp.Diff(want, rows(t, "inputs")); diff != "" {
		t.Errorf("inputs, code (-) and README.md (+):\n%s", diff)
	}
}

func TestReadmeListsEveryOutput(t *testing.T) {
	var want [][]string
	for _, s := range OutputSpecs() {
		want = append(want, []string{code(s.Name), s.Description})
	}
	if diff := cmp.Diff(want, rows(t, "outputs")); diff != "" {
		t.Errorf("outputs, code (-) and README.md (+):\n%s", diff)
	}
}
