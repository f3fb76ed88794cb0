package registry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files makes the items of a tree, sorted, with the folders in it.
func filesOf(sizes map[string]int64) []item {
	var items []item
	seen := map[string]bool{}
	for path, size := range sizes {
		items = append(items, item{path: path, kind: file, size: size})
		for i, c := range path {
			if c == '/' && !seen[path[:i]] {
				seen[path[:i]] = true
				items = append(items, item{path: path[:i], kind: folder})
			}
		}
	}
	slices.SortFunc(items, byPath)
	return items
}

// names are what is in each part, without folders.
func namesOf(parts []portion) [][]string {
	var all [][]string
	for _, p := range parts {
		var names []string
		for _, it := range p.items {
			if it.kind == file {
				names = append(names, it.path)
			}
		}
		all = append(all, names)
	}
	return all
}

const mega = 1 << 20

// divided is by the weight that layers have unless there are many.
func divided(entries [][]item, room int) []portion { return divide(entries, room, layerWeight) }

func TestDivide(t *testing.T) {
	for name, test := range map[string]struct {
		sizes map[string]int64
		want  [][]string
	}{
		"a light folder is whole": {
			map[string]int64{"a/b": mega, "a/c/d": 2 * mega, "a-b": 3 * mega},
			[][]string{{"a-b", "a/b", "a/c/d"}},
		},
		"a large file is apart": {
			map[string]int64{"a/model": 50 * mega, "a/b": 1, "c": 1},
			[][]string{{"a/b"}, {"a/model"}, {"c"}},
		},
		"dependencies are apart from what uses them": {
			map[string]int64{"app/modules/x/1": 10 * mega, "app/modules/y/1": 10 * mega, "app/src/a": 1, "app/src/b": 1, "app/index": 1},
			[][]string{{"app/index", "app/src/a", "app/src/b"}, {"app/modules/x/1"}, {"app/modules/y/1"}},
		},
		"a heavy folder alone in folders": {
			map[string]int64{"a/b/c/1": 10 * mega, "a/b/c/2": 10 * mega},
			[][]string{{"a/b/c/1"}, {"a/b/c/2"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, namesOf(divided([][]item{filesOf(test.sizes)}, mostLayers))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// manyFiles are 128 MB in 8,000 files.
func manyFiles() map[string]int64 {
	sizes := map[string]int64{}
	for i := range 8000 {
		sizes[fmt.Sprintf("p%d/m%d/f%d", i/200, i/20%10, i)] = 16 << 10
	}
	return sizes
}

// What a change makes anew is a small part of the whole, whatever it is.
func TestDivisionIsStable(t *testing.T) {
	before := divided([][]item{filesOf(manyFiles())}, mostLayers)
	if len(before) < 8 || len(before) > manyLayers {
		t.Fatalf("%d layers", len(before))
	}
	for name, change := range map[string]func(map[string]int64){
		"a file grows":        func(s map[string]int64) { s["p7/m3/f1460"] = 100 << 10 },
		"a file grows a lot":  func(s map[string]int64) { s["p7/m3/f1460"] = 6 << 20 },
		"a file becomes huge": func(s map[string]int64) { s["p7/m3/f1460"] = 60 << 20 },
		"a file comes":        func(s map[string]int64) { s["p7/m3/new"] = 1 },
		"a file goes":         func(s map[string]int64) { delete(s, "p7/m3/f1460") },
		"a folder comes":      func(s map[string]int64) { s["new/new"] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			sizes := manyFiles()
			change(sizes)
			known := map[string]bool{}
			for _, p := range before {
				known[fmt.Sprint(p.items)] = true
			}
			changed := 0
			for _, p := range divided([][]item{filesOf(sizes)}, mostLayers) {
				if !known[fmt.Sprint(p.items)] {
					changed++
				}
			}
			if changed == 0 || changed > 5 {
				t.Errorf("%d layers are others, of %d", changed, len(before))
			}
		})
	}
}

func TestFewLayers(t *testing.T) {
	large, small := map[string]int64{}, map[string]int64{}
	for i := range 3000 {
		large[fmt.Sprintf("f%d", i)] = mega
		small[fmt.Sprintf("%sf", strings.Repeat("d/", i+1))] = 10 << 10
	}
	for name, sizes := range map[string]map[string]int64{"large": large, "deep": small} {
		if n := len(divided([][]item{filesOf(sizes)}, mostLayers)); n > manyLayers {
			t.Errorf("%s: %d layers", name, n)
		}
		if n := len(divided([][]item{filesOf(sizes)}, 3)); n > 3 {
			t.Errorf("%s: %d layers in room for 3", name, n)
		}
	}
	var entries [][]item
	for i := range 200 {
		entries = append(entries, filesOf(map[string]int64{fmt.Sprintf("f%d", i): 1}))
	}
	if n := len(divided(entries[:100], mostLayers)); n != 100 {
		t.Errorf("100 entries are %d layers", n)
	}
	for _, room := range []int{mostLayers, 7, 1} {
		parts := divided(entries, room)
		if len(parts) != room {
			t.Errorf("200 entries are %d layers, in room for %d", len(parts), room)
		}
		if n := len(slices.Concat(namesOf(parts)...)); n != 200 {
			t.Errorf("of 200 files %d are left", n)
		}
		if last := parts[len(parts)-1].entry; room > 1 && last < 100 {
			t.Errorf("the last layer begins with entry %d", last)
		}
	}
}

// FuzzDivide holds any tree against what a division promises: nothing is lost
// or there twice, the order is kept, no layer is needlessly heavy.
func FuzzDivide(f *testing.F) {
	f.Add(uint64(1), 10, 3)
	f.Add(uint64(2), 300, 127)
	f.Add(uint64(3), 0, 1)
	f.Fuzz(func(t *testing.T, seed uint64, count, room int) {
		rng := rand.New(rand.NewPCG(seed, 0))
		room = 1 + max(room, 0)%mostLayers
		sizes := map[string]int64{}
		for range min(max(count, 0), 400) {
			parts := make([]string, 1+rng.IntN(5))
			for i := range parts {
				parts[i] = string(rune('a' + rng.IntN(4)))
			}
			parts[len(parts)-1] += ".txt" // never a folder
			sizes[strings.Join(parts, "/")] = rng.Int64N(1 << (10 + rng.IntN(16)))
		}
		items := filesOf(sizes)
		parts := divided([][]item{items}, room)
		if len(parts) > min(room, manyLayers) {
			t.Errorf("%d layers in room for %d", len(parts), room)
		}
		seen := map[string]bool{}
		for _, p := range parts {
			if !slices.IsSortedFunc(p.items, byPath) {
				t.Error("not in order")
			}
			for _, it := range p.items {
				if seen[it.path] {
					t.Errorf("%s is there twice", it.path)
				}
				seen[it.path] = true
			}
		}
		for _, it := range tips(items) {
			if !seen[it.path] {
				t.Errorf("%s is lost", it.path)
			}
		}
	})
}
