package metrics

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// matcher is one condition of a selector, such as code=~"5..".
type matcher struct {
	label string
	// equal and pattern say how: pattern is nil for = and !=.
	not     bool
	equal   string
	pattern *regexp.Regexp
}

// matches a set of labels; a label that is not there counts as empty.
func (m matcher) matches(labels model.Metric) bool {
	v := string(labels[model.LabelName(m.label)])
	if m.pattern != nil {
		return m.pattern.MatchString(v) != m.not
	}
	return (v == m.equal) != m.not
}

// matchers are conditions that all have to hold.
type matchers []matcher

func (ms matchers) match(labels model.Metric) bool {
	for _, m := range ms {
		if !m.matches(labels) {
			return false
		}
	}
	return true
}

var matcherStart = regexp.MustCompile(`^\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=)`)

// areMatchers tells conditions from a query.
func areMatchers(text string) bool { return matcherStart.MatchString(text) }

var matcherHead = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*`)

// parseMatchers reads conditions as PromQL writes them between braces.
func parseMatchers(text string) (matchers, error) {
	var all matchers
	rest := strings.TrimSpace(text)
	for rest != "" {
		head := matcherHead.FindStringSubmatch(rest)
		if head == nil {
			return nil, fmt.Errorf("column %d: expected a label and one of =, !=, =~, !~, got %q", len(text)-len(rest)+1, shortened(rest))
		}
		quoted, after, err := quotedPrefix(rest[len(head[0]):])
		if err != nil {
			return nil, fmt.Errorf("column %d: %w", len(text)-len(rest)+len(head[0])+1, err)
		}
		m, err := newMatcher(head[1], head[2], quoted)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
		rest = strings.TrimSpace(after)
		if rest == "" {
			break
		}
		if rest[0] != ',' {
			return nil, fmt.Errorf("column %d: expected a comma, got %q", len(text)-len(rest)+1, shortened(rest))
		}
		rest = strings.TrimSpace(rest[1:])
	}
	return all, nil
}

// newMatcher is a condition. As in Prometheus a pattern is for all of a value.
func newMatcher(label, op, text string) (matcher, error) {
	m := matcher{label: label, not: op[0] == '!', equal: text}
	if strings.HasSuffix(op, "~") {
		p, err := regexp.Compile("^(?s:" + text + ")$")
		if err != nil {
			return matcher{}, fmt.Errorf("%s%s%q is not a regular expression: %w", label, op, text, err)
		}
		m.pattern = p
	}
	return m, nil
}

// quotedPrefix reads a quoted text and gives what is behind it.
func quotedPrefix(s string) (text, rest string, err error) {
	if s == "" || !strings.ContainsRune("\"'`", rune(s[0])) {
		return "", "", fmt.Errorf("expected a value in quotes, got %q", shortened(s))
	}
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote != '`':
			i++
		case s[i] == quote:
			text, err = unquote(s[1:i], quote)
			return text, s[i+1:], err
		}
	}
	return "", "", fmt.Errorf("the quotes of %q are not closed", shortened(s))
}

// unquote resolves escapes.
func unquote(s string, quote byte) (string, error) {
	if quote == '`' {
		return s, nil
	}
	var b []byte
	for rest := s; rest != ""; {
		r, multi, tail, err := strconv.UnquoteChar(rest, quote)
		if err != nil {
			return "", fmt.Errorf("%q has an escape that is not known", shortened(s))
		}
		if multi {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
		rest = tail
	}
	return string(b), nil
}

var selectorForm = regexp.MustCompile(`(?s)^([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?$`)

// parseSelector reads a query that selects series of one metric; not ok if it
// is anything else.
func parseSelector(text string) (name string, ms matchers, ok bool) {
	parts := selectorForm.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return "", nil, false
	}
	ms, err := parseMatchers(parts[2])
	return parts[1], ms, err == nil
}
