package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// record puts lines on a tape, a second apart.
func record(lines ...string) *tape {
	t := &tape{}
	for i, line := range lines {
		t.lines = append(t.lines, printed{time.Unix(int64(i), 0), line})
	}
	return t
}

// texts are the lines that an SVG shows; an error where it is no XML.
func texts(svg []byte) (all []string, err error) {
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	inside := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "text" {
				inside = true
				all = append(all, "")
			}
		case xml.EndElement:
			inside = inside && token.Name.Local != "text"
		case xml.CharData:
			if inside {
				all[len(all)-1] += string(token)
			}
		}
	}
}

func TestTheDrawingShowsEveryLine(t *testing.T) {
	lines := []string{
		"$ slipway release --version 1.0.0", "1. A first release", "", "  ✓ pack <the> image & push",
		"    ✗ \"no\"", strings.Repeat("x", columns), closingTitle,
	}
	got, err := texts(record(lines...).draw())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("it shows\n%s", strings.Join(got, "\n"))
	}
}

func TestALineThatIsTooLongIsCut(t *testing.T) {
	got, err := texts(record(strings.Repeat("é", columns+1)).draw())
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("é", columns-1) + "…"; len(got) != 1 || got[0] != want {
		t.Errorf("it shows %q", got)
	}
}

func TestTheTextMovesUpOnlyWhereItIsLongerThanTheTerminal(t *testing.T) {
	for _, n := range []int{rows, rows + 1} {
		svg := string(record(make([]string, n)...).draw())
		up := fmt.Sprintf("translateY(%dpx)", -lineHeight)
		_, scroll, _ := strings.Cut(svg, "@keyframes scroll")
		scroll, _, _ = strings.Cut(scroll, "\n")
		if moves := strings.Contains(scroll, up); moves != (n > rows) {
			t.Errorf("%d lines in %d rows: %s", n, rows, scroll)
		}
	}
}

func TestATapeKeepsWholeLines(t *testing.T) {
	tape := &tape{}
	for _, part := range []string{"a", "b\nc\n\nd", "e\nrest"} {
		if n, err := tape.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	var got []string
	for _, line := range tape.lines {
		got = append(got, line.text)
	}
	if want := "ab|c||de"; strings.Join(got, "|") != want {
		t.Errorf("it keeps %q, want %q", got, want)
	}
}

func TestStillMomentsAreCutShort(t *testing.T) {
	tape := &tape{lines: []printed{{time.Unix(0, 0), ""}, {time.Unix(0, 0), ""}, {time.Unix(60, 0), ""}}}
	got := fmt.Sprint(tape.moments())
	if want := fmt.Sprint([]time.Duration{0, shortestGap, shortestGap + longestGap}); got != want {
		t.Errorf("lines appear at %s, want %s", got, want)
	}
}
