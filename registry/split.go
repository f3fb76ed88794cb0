package registry

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
)

const (
	// layerWeight is how large a layer of several files becomes, in bytes: small
	// enough that a changed file costs little, large enough that an ordinary app
	// is a few layers.
	layerWeight = 16 << 20
	// manyLayers is how many own layers an image gets, unless its entries are
	// more: each one takes a moment wherever it is unpacked.
	manyLayers = 32
	// mostLayers is how many Docker takes, those of the base included.
	mostLayers = 127
)

// divide puts the items of entries, each sorted by path, into layers: at least
// one for each entry, and at most room in all.
//
// A folder stays whole as long as it is light. In one that is not, whatever is
// too heavy by itself is apart: a large file, and a folder, which is divided in
// the same way. The rest is halved by the hashes of names until each part is
// light enough, as weight says in bytes. So names and sizes alone decide, the same ones on every machine;
// and a file that comes, goes or grows changes the layer that it is in, and
// seldom the one beside it.
//
// Where this makes too many layers, each of them may be twice as heavy.
func divide(entries [][]item, room int, weight int64) []portion {
	parts := merge(entries, room)
	most := min(max(manyLayers, len(parts)), room)
	for ; ; weight *= 2 {
		var divided []portion
		for _, p := range parts {
			divided = append(divided, p.divide(weight)...)
		}
		if len(divided) <= most {
			return divided
		}
	}
}

// portion is what goes into one layer: items of one entry, or of some that follow
// each other.
type portion struct {
	// entry is the index of the first.
	entry int
	items []item
}

// merge makes each entry a portion, or some that follow each other where they are too many.
func merge(entries [][]item, room int) []portion {
	var parts []portion
	for i, items := range entries {
		if into := i * room / len(entries); len(entries) > room && into < len(parts) {
			parts[into].items = append(slices.Clip(parts[into].items), items...)
			slices.SortFunc(parts[into].items, byPath)
			continue
		}
		parts = append(parts, portion{i, items})
	}
	return parts
}

func (p portion) divide(most int64) []portion {
	d := &divider{most: most}
	if heaviness(p.items) <= most {
		return []portion{p}
	}
	d.folder(tips(p.items), 0)
	slices.SortFunc(d.done, func(a, b []item) int { return byPath(a[0], b[0]) })
	parts := make([]portion, len(d.done))
	for i, items := range d.done {
		parts[i] = portion{p.entry, items}
	}
	return parts
}

// tips leaves out the folders that have something in them: they come with it,
// in every layer that has something of them.
func tips(items []item) []item {
	var found []item
	for i, it := range items {
		if it.kind == folder && i+1 < len(items) && inside(items[i+1:], it.path) {
			continue
		}
		found = append(found, it)
	}
	return found
}

// inside reports whether any of the items, which are sorted, is in a folder.
// Between it and what is in it there may be others, such as a-b between a and
// a/b.
func inside(items []item, dir string) bool {
	i, _ := slices.BinarySearchFunc(items, dir+"/", func(it item, at string) int { return cmp.Compare(it.path, at) })
	return i < len(items) && strings.HasPrefix(items[i].path, dir+"/")
}

func heaviness(items []item) (sum int64) {
	for _, it := range items {
		sum += it.weight()
	}
	return sum
}

// divider divides the tips of a tree.
type divider struct {
	// most is what a layer may weigh, in bytes.
	most int64
	done [][]item
}

// child is what a folder has under one name: a tip, or what is in a folder.
type child struct {
	items  []item
	weight int64
	// hash is that of its name.
	hash [sha256.Size]byte
	// below is where the names in it begin, in bytes; zero for a tip.
	below int
}

// folder divides items whose paths are the same up to a byte.
func (d *divider) folder(items []item, from int) {
	var light []child
	for _, c := range children(items, from) {
		switch {
		case c.weight <= d.most:
			light = append(light, c)
		case c.below == 0:
			d.done = append(d.done, c.items)
		default:
			d.folder(c.items, c.below)
		}
	}
	d.halve(light, 0)
}

// halve divides what is light one by one and may be heavy together, by a bit of
// the hashes.
func (d *divider) halve(light []child, bit int) {
	var weight int64
	var items []item
	for _, c := range light {
		weight += c.weight
		items = append(items, c.items...)
	}
	switch {
	case len(light) == 0:
	case weight <= d.most:
		d.done = append(d.done, items)
	default:
		var halves [2][]child
		for _, c := range light {
			side := c.hash[bit/8] >> (7 - bit%8) & 1
			halves[side] = append(halves[side], c)
		}
		d.halve(halves[0], bit+1)
		d.halve(halves[1], bit+1)
	}
}

// children are what items, sorted, have under each name that begins at a byte.
func children(items []item, from int) []child {
	var found []child
	for len(items) > 0 {
		name, _, isFolder := strings.Cut(items[0].path[from:], "/")
		c := child{hash: sha256.Sum256([]byte(name))}
		n := 1
		if isFolder {
			c.below = from + len(name) + 1
			dir := items[0].path[:c.below]
			for n < len(items) && strings.HasPrefix(items[n].path, dir) {
				n++
			}
		}
		c.items, items = items[:n:n], items[n:]
		c.weight = heaviness(c.items)
		found = append(found, c)
	}
	return found
}
