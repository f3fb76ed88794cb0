// Package complaint says what is wrong with a CEL expression, for those who wrote
// it into slipway.yaml: the expect of a check, the conditions of a metric.
package complaint

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
)

// Of is the first issue with its place: the column, and the line where there are
// several, both counted from 1.
func Of(issues *cel.Issues) string {
	all := issues.Errors()
	if len(all) == 0 {
		return issues.Err().Error()
	}
	first := all[0]
	message := strings.ReplaceAll(first.Message, " (in container '')", "")
	if first.Location.Line() > 1 {
		return fmt.Sprintf("line %d, column %d: %s", first.Location.Line(), first.Location.Column()+1, message)
	}
	return fmt.Sprintf("column %d: %s", first.Location.Column()+1, message)
}
