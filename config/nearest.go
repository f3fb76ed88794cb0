package config

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest is the valid word that somebody may have meant; empty where none is
// near.
func nearest(word string, valid []string) string {
	word = fold(word)
	best, least := "", len([]rune(word))/3+2
	for _, v := range valid {
		if d := levenshtein.ComputeDistance(word, fold(v)); d < least {
			best, least = v, d
		}
	}
	return best
}

// fold makes startTimeout, start_timeout and start-timeout the same word.
func fold(s string) string {
	s = s[:min(len(s), 64)] // distances of long words cost much and say nothing
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

// meant is a hint with the nearest valid word, or else the fallback.
func meant(word string, valid []string, fallback string) string {
	if near := nearest(word, valid); near != "" {
		return "did you mean " + near + "?"
	}
	return fallback
}
