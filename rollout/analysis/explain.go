package analysis

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// accusation says in one sentence why the candidate is reverted.
func (j *Sequential) accusation(m *metric, log float64) string {
	return fmt.Sprintf("%s; chance of this on an equal version below 1 in %s", m.worse(m.suspect()), atMost(evidence(log)))
}

// suspicion says why the candidate is held.
func (j *Sequential) suspicion(m *metric, log float64) string {
	return fmt.Sprintf("%s; an equal version shows this with a chance below 1 in %s, which is too much to go on and too little to revert",
		m.worse(m.suspect()), atMost(evidence(log)))
}

// unknown says what is missing.
func (j *Sequential) unknown(m *metric, c *claim, eta time.Duration) string {
	known := "not known yet: " + m.soFar() + "; "
	if e := j.counted(); e != nil && m.kind == kindLatency && total(m.judgedCandidate) == 0 {
		known = "not known yet: " + e.soFar() + "; "
		if m.pace.at <= j.WarmUp.Seconds() {
			return known + "durations are judged after the first " + duration(j.WarmUp)
		}
		return known + m.soFar()
	}
	switch {
	case eta != Unknown:
		return known + "about " + duration(eta) + " more at this traffic to show that " + c.of(m)
	case m.kind == kindLatency && len(m.le) > 0 && total(m.judgedCandidate) > 0:
		return known + fmt.Sprintf("buckets from %ss to %ss cannot show that %s", number(m.le[0]), number(m.le[len(m.le)-1]), c.of(m))
	}
	return known + "how long it takes to show that " + c.of(m) + " cannot be told"
}

// counted is the metric of all requests; nil where there were none.
func (j *Sequential) counted() *metric {
	for _, m := range j.metrics {
		if m.name == string(kindErrors) && total(m.judgedCandidate) > 0 {
			return m
		}
	}
	return nil
}

// shown says what has been shown.
func (j *Sequential) shown(m *metric, c *claim) string {
	return fmt.Sprintf("%s; shown, with a chance of at most 1 in %s to be wrong, that %s", m.soFar(), atMost(1/j.AlphaPromote), c.of(m))
}

// soFar is a metric since the rollout began.
func (m *metric) soFar() string {
	n, seconds := total(m.judgedCandidate), m.pace.at
	if n == 0 {
		return "nothing to compare the " + m.name + " of both versions by"
	}
	t := trail{candidate: m.judgedCandidate, live: m.judgedLive, at: seconds}
	return m.compared(t)
}

// against is what people call what a candidate is compared with.
func against(name string) string { return cmp.Or(name, "the live version") }

// worthTelling is after how many seconds it is said since when.
const worthTelling = 30

// worse is a metric since it has been suspicious.
func (m *metric) worse(t trail) string {
	since := ""
	if t.began >= worthTelling {
		since = ", from " + duration(seconds(t.began)) + " on"
	}
	return m.compared(t) + since
}

// compared are both versions' numbers of a trail.
func (m *metric) compared(t trail) string {
	n, during := total(t.candidate), duration(seconds(t.at-t.began))
	switch m.kind {
	case kindErrors:
		return fmt.Sprintf("%s %s against %s on %s, after %.0f requests in %s",
			m.name, percent(t.candidate[1], n), percent(t.live[1], total(t.live)), m.against, n, during)
	case kindEvents:
		return fmt.Sprintf("%s: %.0f against %.0f on %s in %s", m.name, n, total(t.live), m.against, during)
	}
	if len(m.le) == 0 {
		return fmt.Sprintf("%s of %.0f requests in %s", m.name, n, during)
	}
	bound := m.widest(t)
	slow, _ := above(t.candidate, bound)
	liveSlow, _ := above(t.live, bound)
	return fmt.Sprintf("%s: %s took longer than %ss against %s on %s, after %.0f requests in %s",
		m.name, percent(slow, n), number(m.le[bound]), percent(liveSlow, total(t.live)), m.against, n, during)
}

// widest is the bound at which the versions differ most, in units of what
// chance does.
func (m *metric) widest(t trail) int {
	best, most := 0, math.Inf(-1)
	n, l := total(t.candidate), total(t.live)
	for bound := range m.le {
		slow, _ := above(t.candidate, bound)
		liveSlow, _ := above(t.live, bound)
		p := (liveSlow + slow + 1) / (n + l + 2)
		if z := (slow/n - liveSlow/max(l, 1)) / math.Sqrt(p*(1-p)); z > most {
			best, most = bound, z
		}
	}
	return best
}

// percent of n, with two digits that say something.
func percent(k, n float64) string {
	if n == 0 {
		return "0%"
	}
	return number(100*k/n) + "%"
}

// number has two digits, more if it is large, and no exponent.
func number(x float64) string {
	digits := 1 - int(math.Floor(math.Log10(math.Abs(x))))
	if x == 0 || digits < 0 {
		digits = 0
	}
	s := strconv.FormatFloat(x, 'f', min(digits, 12), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// points are a difference of percentages.
func points(x float64) string {
	if n := number(x); n != "1" {
		return n + " points"
	}
	return "1 point"
}

// ratio has three digits.
func ratio(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }

// atMost is a number with one digit that is not larger: 100 for 123.
func atMost(x float64) string {
	if x >= 1e6 {
		return "a million"
	}
	x *= 1 + 1e-9 // 1/0.05 is 20
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	if x < 20 {
		unit = 1
	}
	return strconv.FormatFloat(math.Floor(x/unit)*unit, 'f', 0, 64)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// duration in the unit that people would say it in.
func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + " s"
	case d < 2*time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 0, 64) + " s"
	case d < 2*time.Hour:
		return strconv.FormatFloat(d.Minutes(), 'f', 0, 64) + " min"
	case d < 48*time.Hour:
		return strconv.FormatFloat(d.Hours(), 'f', 0, 64) + " h"
	}
	return strconv.FormatFloat(d.Hours()/24, 'f', 0, 64) + " days"
}
