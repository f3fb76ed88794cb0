package action

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// spicy has what each encoding changes, and each leaves alone.
const spicy = `p@s:s&"w$o,r;d=<1>/+?!'(é)` + "\U0001f511" + `\x`

// written are the ways in which other programs write a secret down, in base64,
// in addresses and in JSON.
func written(secret string) map[string]string {
	inURL := url.URL{Scheme: "https", User: url.UserPassword("app", secret), Host: "db"}
	percent := url.QueryEscape(secret)
	quoted, _ := json.Marshal(secret)
	twice, _ := json.Marshal(string(quoted))
	escaped := strings.NewReplacer(`"`, `\u0022`, `&`, `\u0026`, `<`, `\u003C`, `>`, `\u003E`, `+`, `\u002B`, `'`, `\u0027`,
		`é`, `\u00E9`, "\U0001f511", `\uD83D\uDD11`, `\`, `\\`)
	return map[string]string{
		"plain":                        secret,
		"base64":                       base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 for addresses":         base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"base64 of user and password":  base64.StdEncoding.EncodeToString([]byte("app:" + secret)),
		"base64 of a line":             base64.StdEncoding.EncodeToString([]byte(secret + "\n")),
		"an address by Go":             inURL.String(),
		"a query":                      percent,
		"a query in lower case":        lowerPercent(percent),
		"a path":                       url.PathEscape(secret),
		"a path in lower case":         lowerPercent(url.PathEscape(secret)),
		"encodeURIComponent":           componentOf(secret),
		"quote of Python":              strings.NewReplacer("+", "%20", "%2F", "/").Replace(percent),
		"JSON":                         string(quoted),
		"JSON in JSON":                 string(twice),
		"JSON with slashes escaped":    strings.ReplaceAll(string(quoted), "/", `\/`),
		"JSON in ASCII":                asciiJSON(secret),
		"JSON in capitals, as of .NET": escaped.Replace(secret),
	}
}

// lowerPercent writes %2F as %2f.
func lowerPercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			b.WriteString(strings.ToLower(s[i : i+3]))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// componentOf is what JavaScript makes of a part of an address.
func componentOf(s string) string {
	return strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(url.QueryEscape(s))
}

// asciiJSON is what json.dumps of Python makes of it.
func asciiJSON(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "é", `\u00e9`, "\U0001f511", `\ud83d\udd11`).Replace(s)
}

// pieces are parts of a secret that no output may have in any form.
func pieces(form string) []string {
	const length = 16
	form = strings.Trim(form, `"=`)
	if len(form) <= length {
		return []string{form}
	}
	middle := (len(form) - length) / 2
	return []string{form, form[middle : middle+length]}
}

// TestSecretsAreMaskedInEveryFormAndOutput gives the action a secret and has
// each form of it written to everything that it writes.
func TestSecretsAreMaskedInEveryFormAndOutput(t *testing.T) {
	for name, form := range written(spicy) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(file string) string { return filepath.Join(dir, file) }
			r, log := onRunner(env{"GITHUB_OUTPUT": at("output"), "GITHUB_STATE": at("state"), "GITHUB_STEP_SUMMARY": at("summary")})
			r.Masker().Add(spicy)
			writeAll(t, r, log, "before "+form+" after")
			texts := map[string]string{"the log": log.String()}
			for _, file := range []string{"output", "state", "summary"} {
				content, err := os.ReadFile(at(file))
				if err != nil {
					t.Fatal(err)
				}
				texts[file] = string(content)
			}
			for output, text := range texts {
				if !strings.Contains(text, mask) {
					t.Errorf("%s: nothing is masked in %.200s", output, text)
				}
				for _, piece := range pieces(form) {
					if strings.Contains(text, piece) {
						t.Errorf("%s: %q is in %.200s", output, piece, text)
					}
				}
			}
		})
	}
}

// writeAll writes a text by every way that a Runner has.
func writeAll(t *testing.T, r *Runner, log *bytes.Buffer, text string) {
	t.Helper()
	for _, err := range []error{
		r.SetOutput(OutputPlan, text),
		r.SetState("run", text),
		r.Summary(text),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.Group(text)
	r.EndGroup()
	for range maxAnnotations + 1 { // the last one is a plain line
		r.Annotate(Annotation{Level: LevelNotice, Title: text, Message: text, File: text})
	}
	r.Error(text, text)
	r.Warning(text, text)
	w := r.Masker().Writer(log)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// base64 and openssl break what they write into lines, so that no line has all
// of a long secret.
func TestMaskerFindsBase64InLines(t *testing.T) {
	secret := strings.Repeat("correct-horse-battery-staple.", 12)
	whole := base64.StdEncoding.EncodeToString([]byte(secret))
	m := NewMasker(secret)
	for _, width := range []int{64, 76} {
		var lines []string
		for rest := whole; rest != ""; rest = rest[min(width, len(rest)):] {
			lines = append(lines, rest[:min(width, len(rest))])
		}
		got := m.String(strings.Join(lines, "\n"))
		for _, line := range strings.Split(got, "\n") {
			if line != mask {
				t.Errorf("width %d: a line reads %s", width, line)
			}
		}
	}
}
