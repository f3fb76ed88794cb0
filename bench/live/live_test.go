package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// reportOf is a report as slipway writes it; without a reason nobody went back.
func reportOf(reason string) *workshop.Report {
	r := &workshop.Report{Outcome: "promoted"}
	r.Environments = append(r.Environments, workshop.EnvironmentReport{Name: "production"})
	if reason != "" {
		r.Outcome = "reverted"
		back := 0.01
		r.Environments[0].Revert = &workshop.Revert{At: time.Unix(10, 0), Reason: reason, TrafficBack: &back}
	}
	return r
}

func TestWhatIsWrongIsSeen(t *testing.T) {
	bad := scene{
		name: "fails", build: workshop.Build{Fails: 10}, perSecond: 10, code: reverted, reason: regexp.MustCompile(`^errors `),
	}
	good1 := scene{name: "is good", perSecond: 10}
	dying, late := bad, bad
	dying.dies, late.late = true, true
	fault := workshop.Count{Faults: map[string]int{"2": 3}, Answered: map[string]int{"2": 9}}
	for name, c := range map[string]struct {
		scene  scene
		code   int
		reason string
		users  workshop.Count
		want   string // empty where all is well
	}{
		"a bad one that goes back":       {bad, reverted, "errors 10%", fault, ""},
		"a bad one that stays":           {bad, 0, "", fault, "exits with 0, not 3"},
		"one that is held":               {bad, 4, "", fault, "exits with 4, not 3"},
		"another reason":                 {bad, reverted, "latency: 10%", fault, "because of \"latency: 10%\""},
		"a good one that stays":          {good1, 0, "", workshop.Count{}, ""},
		"a good one that goes back":      {good1, reverted, "latency: 10%", workshop.Count{}, "it goes back: latency"},
		"a good one that fails":          {good1, 0, "", fault, "it fails 3 requests"},
		"a lost request":                 {bad, reverted, "errors 10%", workshop.Count{Lost: 1, FirstLost: "EOF"}, "1 requests failed that the version did not fail itself; the first that was lost, EOF"},
		"lost by one that does not die":  {bad, reverted, "errors 10%", workshop.Count{Lost: 1, LostBy: map[string]int{"2": 1}}, "1 requests failed"},
		"lost by one that dies":          {dying, reverted, "errors 10%", workshop.Count{Lost: 1, LostBy: map[string]int{"2": 1}}, ""},
		"lost by the other one":          {dying, reverted, "errors 10%", workshop.Count{Lost: 1, LostBy: map[string]int{"1.0.0": 1}}, "1 requests failed"},
		"an error of the live version":   {bad, reverted, "errors 10%", workshop.Count{Faults: map[string]int{"1.0.0": 2}}, "2 requests failed"},
		"one that was never good before": {late, reverted, "errors 10%", fault, "it was not good at first"},
	} {
		tr := trial{scene: c.scene, version: "2", users: c.users, result: workshop.Result{Command: "slipway release", Code: c.code, Report: reportOf(c.reason)}}
		err := tr.wrong()
		switch {
		case err == nil && c.want != "":
			t.Errorf("%s passes", name)
		case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimesAreFromTheFirstBadAnswer(t *testing.T) {
	tr := trial{version: "2", result: workshop.Result{Report: reportOf("errors")}, users: workshop.Count{
		First: map[string]time.Time{"2": time.Unix(1, 0)}, FirstFault: map[string]time.Time{"2": time.Unix(4, 0)}, Last: map[string]time.Time{"2": time.Unix(11, 0)},
	}}
	if tr.time(); tr.toRevert != 6*time.Second || tr.back != time.Second {
		t.Errorf("it took %s, and then %s", tr.toRevert, tr.back)
	}
	delete(tr.users.FirstFault, "2")
	if tr.time(); tr.toRevert != 9*time.Second {
		t.Errorf("without a bad answer it took %s", tr.toRevert)
	}
}

func TestOnlyALongRunIsHeldToTheToll(t *testing.T) {
	for _, c := range []struct {
		short  bool
		failed []int
		wrong  bool
	}{{false, []int{9, 30, 4}, false}, {false, []int{10, 30, 4}, true}, {true, []int{10, 30, 4}, false}, {false, nil, false}} {
		b := &bench{short: c.short}
		if err := b.judge(toll{failed: c.failed}); (err != nil) != c.wrong {
			t.Errorf("short %v, failed %v: %v", c.short, c.failed, err)
		}
	}
	if got := (toll{failed: []int{7, 3, 5}}).table(); !strings.Contains(got, "in 3 releases: least 3, median 5, most 7;") {
		t.Errorf("it says %q", got)
	}
}

func TestTheTableHasALineForEach(t *testing.T) {
	b := &bench{short: true}
	var all []trial
	for i, s := range b.scenes() {
		all = append(all, trial{scene: s, version: version(i), result: workshop.Result{Report: reportOf("errors | 10%")}})
	}
	lines := strings.Split(strings.TrimSpace(table(all)), "\n")
	if len(lines) != len(all)+2 {
		t.Errorf("%d lines for %d versions", len(lines), len(all))
	}
	for _, line := range lines {
		if strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != strings.Count(lines[0], "|") {
			t.Errorf("%s has other columns than %s", line, lines[0])
		}
	}
}
