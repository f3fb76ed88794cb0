package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestEveryCommandIsDescribed holds help texts to one form: a sentence for each
// command and each flag, without a full stop.
func TestEveryCommandIsDescribed(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if !cmd.Hidden {
			sentence(t, cmd.CommandPath(), cmd.Short)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !cmd.Hidden {
				sentence(t, cmd.CommandPath()+" --"+f.Name, f.Usage)
			}
		})
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit((&CLI{}).root())
}

func sentence(t *testing.T, what, text string) {
	t.Helper()
	if len(text) < 4 || strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text {
		t.Errorf("%s: %q is no description", what, text)
	}
}
