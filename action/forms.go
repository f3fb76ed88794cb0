package action

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// forms are the encodings in which a value tends to leak. Those that contain a
// line feed or are too short to tell anything are left out.
func forms(value string) []string {
	all := []string{
		hex.EncodeToString([]byte(value)),
		strings.ToUpper(hex.EncodeToString([]byte(value))),
		url.QueryEscape(value),
		url.PathEscape(value),
		html.EscapeString(value),
		inner(strconv.Quote(value)),
		inner(strconv.QuoteToASCII(value)),
		jsonString(value, true),
		jsonString(value, false),
	}
	all = append(all, base64Forms(value)...)
	return slices.DeleteFunc(all, func(s string) bool {
		return len(s) < shortest || strings.Contains(s, "\n")
	})
}

func jsonString(value string, escapeHTML bool) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(escapeHTML)
	if err := encoder.Encode(value); err != nil {
		return "" // no string fails to encode
	}
	return inner(strings.TrimSuffix(b.String(), "\n"))
}

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// base64Forms are the whole encodings, and what is certain to appear when the
// value stands at any offset in something longer that is encoded as a whole.
func base64Forms(value string) []string {
	var all []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		raw := encoding.EncodeToString([]byte(value))
		padding := strings.Repeat("=", (4-len(raw)%4)%4)
		all = append(all, raw+padding, raw)
		for _, width := range base64Lines {
			all = append(all, wrapped(raw, width)...)
		}
		for offset := range 3 {
			if part := base64Part(encoding, value, offset); len(part) >= shortestPart {
				all = append(all, part)
			}
		}
	}
	return all
}

// base64Lines are the lengths at which base64 is broken into lines: of PEM (RFC
// 7468) and of MIME (RFC 2045).
var base64Lines = []int{64, 76}

// wrapped are the lines of a text that does not fit into one, but for a last one
// that tells too little.
func wrapped(text string, width int) []string {
	var lines []string
	for len(text) > width {
		lines = append(lines, text[:width])
		text = text[width:]
	}
	if len(lines) > 0 && len(text) >= shortestPart {
		lines = append(lines, text)
	}
	return lines
}

// base64Part encodes the value behind offset other bytes and keeps the
// characters that depend on the value alone.
func base64Part(encoding *base64.Encoding, value string, offset int) string {
	bytes := append(make([]byte, offset), value...)
	encoded := encoding.EncodeToString(bytes)
	from := (offset*8 + 5) / 6
	to := len(bytes) * 8 / 6
	return encoded[from:max(from, to)]
}
