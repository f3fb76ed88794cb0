package objects

import (
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// digits are the last characters of what identifies a user, read as a number: it
// divides users without knowing them.
type digits struct {
	// each holds the characters of one value: 0, 1, 2, …
	each []string
	// count is how many characters are read.
	count int
	// after may follow them.
	after string
}

// digitsOf reads an alphabet: thousands of values each, so that a share of one
// percent is exact to a thirtieth of that at least.
func digitsOf(e deploy.Ending) digits {
	switch e {
	case deploy.EndsInDecimal:
		return digits{each: strings.Split("0123456789", ""), count: 4}
	case deploy.EndsInBase64:
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		each := strings.Split(letters+strings.ToLower(letters)+"0123456789", "")
		// Padding tells nothing, and cookies may have it escaped.
		return digits{each: append(each, "+-", "/_"), count: 2, after: "(=|%3[Dd])*"}
	}
	return digits{each: append(strings.Split("0123456789", ""), "aA", "bB", "cC", "dD", "eE", "fF"), count: 3}
}

// values is how many numbers there are.
func (d digits) values() int {
	n := 1
	for range d.count {
		n *= len(d.each)
	}
	return n
}

// between is a regular expression for the numbers from one to before another. It
// goes around: what is past the last number counts on from zero.
func (d digits) between(from, to int) string {
	n := d.values()
	var all []string
	switch {
	case to-from >= n:
		all = d.cover(0, n, d.count)
	case from/n == (to-1)/n:
		all = d.cover(from%n, (to-1)%n+1, d.count)
	default:
		all = append(d.cover(from%n, n, d.count), d.cover(0, to%n, d.count)...)
	}
	return "(" + strings.Join(all, "|") + ")" + d.after
}

// cover are expressions of so many characters for the numbers from one to before
// another, in as few as it takes.
func (d digits) cover(from, to, count int) []string {
	if count == 0 {
		return []string{""}
	}
	unit := 1
	for range count - 1 {
		unit *= len(d.each)
	}
	first, last := from/unit, (to-1)/unit
	if first == last {
		return d.behind(first, d.cover(from%unit, (to-1)%unit+1, count-1))
	}
	var all []string
	if from%unit != 0 {
		all = d.behind(first, d.cover(from%unit, unit, count-1))
		first++
	}
	var end []string
	if to%unit != 0 {
		end = d.behind(last, d.cover(0, to%unit, count-1))
		last--
	}
	if first <= last {
		all = append(all, d.class(first, last)+strings.Repeat(d.class(0, len(d.each)-1), count-1))
	}
	return append(all, end...)
}

// behind puts one character in front of expressions.
func (d digits) behind(value int, all []string) []string {
	for i := range all {
		all[i] = d.class(value, value) + all[i]
	}
	return all
}

// class matches one character of a range of values.
func (d digits) class(first, last int) string {
	// A dash stands for itself at the end of a class alone.
	text := strings.Join(d.each[first:last+1], "")
	if dash := strings.ReplaceAll(text, "-", ""); dash != text {
		text = dash + "-"
	}
	return "[" + text + "]"
}
