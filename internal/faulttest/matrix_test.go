package faulttest

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// usersPerSecond are those of each strategy; all strategies run at once.
const usersPerSecond = 200

// strategies are those of the matrix. What they hold is long enough for a version
// that is bad to show it, and short enough for a test.
func strategies(prometheus string) map[string]deploy.Strategy {
	compared := deploy.Judging{MaxHold: time.Minute, OnUnknown: deploy.OnUnknownRevert}
	alone := compared
	if prometheus != "" {
		gateway := deploy.Metric{Name: "gateway", Prometheus: prometheus, Preset: "traefik", Every: time.Second}
		compared.Metrics = []deploy.Metric{gateway}
		// Nobody is on the old version after the switch of a blue-green. On a busy
		// machine scrapes come late: five in a row that tell nothing go back.
		gateway.Conditions = &deploy.Conditions{Failure: "result.errors / result.requests > 0.1", Interval: 3 * time.Second, InconclusiveLimit: 30}
		alone.Metrics = []deploy.Metric{gateway}
	}
	return map[string]deploy.Strategy{
		"rolling":    {Kind: deploy.Rolling, Batch: 1, Hold: time.Second},
		"recreate":   {Kind: deploy.Recreate, Hold: 2 * time.Second},
		"blue-green": {Kind: deploy.BlueGreen, Keep: 6 * time.Second, Bake: 2 * time.Second, Judging: alone},
		"canary":     {Kind: deploy.Canary, Steps: []deploy.Percent{20, 100}, Hold: 3 * time.Second, Bake: 2 * time.Second, Judging: compared},
	}
}

// fault is a way for a version to be bad.
type fault struct {
	name string
	// flags are those of the tests' app.
	flags []string
	// change is what is wrong with what it runs with.
	change func(*deploy.Environment)
	// missing: the registry does not have the image. secret: the cluster does not
	// have the Secret that it refers to.
	missing, secret bool
	// tells is what has to be said of it; nil of one that is promoted.
	tells *regexp.Regexp
	// late: users meet it before it is known to be bad.
	late bool
	// judged: it is told by what the gateway counts, where the strategy is judged
	// by that. Else it fails its health check, too.
	judged bool
	// hold is how long a strategy whose users are not compared has to look to see
	// it; zero is as long as the others.
	hold time.Duration
	// dies: a replica ends once all users are on it.
	dies bool
}

var faults = []fault{
	{name: "good"},
	{name: "never ready", flags: []string{"-sick"}, change: soon, tells: words("not ready|503")},
	{name: "crash loop", flags: []string{"-exit", "42"}, tells: words("code 42")},
	{name: "image not found", missing: true, tells: words("the registry has no")},
	{name: "out of memory", flags: []string{"-eat", "96"}, change: memory("48Mi"), tells: words("memory")},
	{name: "unschedulable", change: enormous, tells: words("(?i)insufficient cpu")},
	{name: "bad config", change: asRoot, tells: words("root")},
	{name: "missing Secret", secret: true, tells: words("does not have the secret")},
	{name: "slow start", flags: []string{"-start-after", "5s"}},
	{name: "fails under traffic", judged: true, late: true, hold: 10 * time.Second, tells: words("gateway|not been ready")},
	{name: "dies after promotion", dies: true, late: true, tells: words("died while it was watched|gateway")},
}

func words(w string) *regexp.Regexp { return regexp.MustCompile(w) }

// soon ends the time to start before anybody's patience ends.
func soon(e *deploy.Environment) { e.Service.StartTimeout = 8 * time.Second }

func enormous(e *deploy.Environment) {
	soon(e)
	e.Target.Cluster.Pod.CPU = "5000"
}

// asRoot leaves the user to an image that names none, which is root.
func asRoot(e *deploy.Environment) { e.Target.Cluster.Pod.User = deploy.UserOfImage }

func memory(limit string) func(*deploy.Environment) {
	return func(e *deploy.Environment) { e.Target.Cluster.Pod.Memory = limit }
}

// TestFaults releases versions that are bad in every way by every strategy, while
// users send 200 requests a second to each. A bad version is taken back for its
// own reason, and nobody loses a request that it did not fail itself.
func TestFaults(t *testing.T) {
	prometheus := prometheus(t)
	for name, s := range strategies(prometheus) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t, newField(t), name, s, usersPerSecond)
			for i, f := range faults {
				t.Run(f.name, func(t *testing.T) {
					if f.judged && s.Judged() && prometheus == "" {
						t.Skip("no prometheus on the PATH")
					}
					l.try(t, fmt.Sprintf("2.%d.0", i), f)
				})
			}
			t.Log(l.users.Count().Sent, "requests")
		})
	}
}

// try releases one version and holds what came of it against what has to.
func (l *lane) try(t *testing.T, version string, f fault) {
	t.Helper()
	old := l.live(t)
	before, losses := l.users.Count(), len(l.users.Losses())
	told := &diary{}
	var died time.Time
	if f.dies {
		told.listen = func(e deploy.Event) {
			if e.Kind == deploy.StageStarted && strings.HasPrefix(e.Message, "all users, watch for") && l.env.Strategy.Bake > 0 && strings.Contains(e.Message, "against") {
				died = l.kill(t)
			}
		}
	}
	r := l.bad(t, version, f)
	usual := l.env.Strategy
	if f.hold > 0 && !usual.Judged() {
		l.env.Strategy.Hold = f.hold
	}
	began := time.Now()
	result := l.deploy(t, rollout.Engine{Reporter: told, Measure: l.measure}, r)
	took := time.Since(began)
	l.env.Strategy = usual

	want, live := l.outcome(f), old
	if want == deploy.Promoted {
		live = version
	}
	said := result.Reason
	if result.Evidence != nil {
		said += " · " + result.Evidence.Reason
	}
	if result.Outcome != want {
		t.Errorf("it is %s, want %s: %s", result.Outcome, want, said)
	}
	if want != deploy.Promoted && !f.tells.MatchString(said) {
		t.Errorf("nobody says %s: %s", f.tells, said)
	}
	l.settled(t, live, want)
	spans := l.spans(f, told, died)
	if f.dies && want == deploy.Promoted {
		said, spans = l.diesUnwatched(t, r, spans)
	}
	cost := l.since(before, losses, version, spans)
	if cost.Lost > 0 {
		t.Errorf("%d of %d requests were lost, such as %s", cost.Lost, cost.Sent, cost.firstLost)
	}
	t.Logf("| %s | %s | %s | %d of %d | %d | %.1f s | %s |", l.env.Name, f.name, result.Outcome, cost.Lost, cost.Sent, cost.Own, took.Seconds(), said)
}

// bad is the revision of a fault.
func (l *lane) bad(t *testing.T, version string, f fault) deploy.Revision {
	t.Helper()
	env, flags := l.env, f.flags
	if f.change != nil {
		f.change(&env)
	}
	switch {
	case f.judged && env.Strategy.Judged():
		flags = []string{"-fail-each", "3"}
	case f.judged:
		flags = []string{"-sick-after", "20"}
	}
	made := image(t, version, flags...)
	if f.missing {
		made.Digest = "sha256:" + strings.Repeat("0123456789abcdef", 4)
	}
	var secrets []deploy.Secret
	if f.secret {
		secrets = []deploy.Secret{deploy.NewSecret(app, env.Name, "KEY", "")}
	}
	return deploy.NewRevision(app, env, made, secrets)
}

// outcome is what has to come of a fault. Where no user met the version nothing
// has changed, but with recreate the old one had ended.
func (l *lane) outcome(f fault) deploy.Outcome {
	bakes := l.env.Strategy.Bake > 0
	switch {
	case f.tells == nil, f.dies && !bakes:
		return deploy.Promoted
	case f.late, l.env.Strategy.Kind == deploy.Recreate:
		return deploy.Reverted
	}
	return deploy.Failed
}

// live is the version that has the users.
func (l *lane) live(t *testing.T) string {
	t.Helper()
	state, err := l.target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Live == nil {
		t.Fatal("nothing is live")
	}
	return state.Live.Image.Version
}

// kill ends one replica of what users have.
func (l *lane) kill(t *testing.T) time.Time {
	t.Helper()
	at := time.Now()
	url, err := l.target.State(t.Context())
	if err != nil {
		t.Error(err)
		return at
	}
	answer, err := (&http.Client{Transport: l.way, Timeout: 10 * time.Second}).Get(url.URL + "/exit")
	if err == nil {
		_ = answer.Body.Close()
	}
	return at
}

// spans are when a lost request is the strategy's or the version's own fault: the
// downtime of recreate, and while a replica that users had is dead or sick.
func (l *lane) spans(f fault, told *diary, died time.Time) (all []span) {
	back := told.at(deploy.TrafficBack, nil)
	if l.env.Strategy.Kind == deploy.Recreate {
		down := told.at(deploy.StageStarted, nil)
		up := told.at(deploy.Observed, nil)
		if up.IsZero() {
			up = back
		}
		all = append(all, span{down, up})
		if reverting := told.at(deploy.Reverting, nil); !reverting.IsZero() {
			all = append(all, span{reverting, back})
		}
	}
	switch {
	case !died.IsZero():
		all = append(all, span{died, back})
	case f.judged && !l.env.Strategy.Judged():
		met := told.at(deploy.StageStarted, func(e deploy.Event) bool { return e.Share > 0 })
		all = append(all, span{met, back})
	}
	return all
}

// diesUnwatched ends a replica of a version that nobody watches any more, and
// demands that whoever looks at the state is told.
func (l *lane) diesUnwatched(t *testing.T, r deploy.Revision, spans []span) (string, []span) {
	t.Helper()
	s := span{from: l.kill(t)}
	said := ""
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		state, err := l.target.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		running, _ := state.Find(r.ID)
		if said == "" && running.Ready() < 2 {
			said = fmt.Sprintf("status: %d of 2 replicas are ready", running.Ready())
		}
		if running.Restarts() > 0 && running.Ready() == 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it is not told, or it does not come back: %+v", running)
		}
	}
	time.Sleep(time.Second) // the gateway follows the endpoints
	s.to = time.Now()
	l.serves(t, r.Image.Version)
	return said, append(spans, s)
}
