package report

import (
	"testing"
	"time"
)

func TestTheAxisHasFewTimes(t *testing.T) {
	for span, want := range map[time.Duration]string{
		0:                    "    axisFormat %H:%M:%S\n    tickInterval 1second\n",
		17 * time.Second:     "    axisFormat %H:%M:%S\n    tickInterval 5second\n",
		time.Minute:          "    axisFormat %H:%M:%S\n    tickInterval 30second\n",
		2 * time.Hour:        "    axisFormat %H:%M\n    tickInterval 1hour\n",
		40 * time.Hour:       "    axisFormat %m-%d %H:%M\n    tickInterval 12hour\n",
		365 * 24 * time.Hour: "    axisFormat %m-%d %H:%M\n    tickInterval 1week\n",
	} {
		if got := ganttAxis(span); got != want {
			t.Errorf("%s: %q, not %q", span, got, want)
		}
	}
}
