package pods

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// What kubelets and runtimes say that the cluster of the tests does not run.
func TestWhatIsSaidOfImages(t *testing.T) {
	const image = "registry.example/not-found/unauthorized:1"
	for message, want := range map[string]Cause{
		`rpc error: code = NotFound desc = failed to pull and unpack image "registry.example/not-found/unauthorized:1": failed to resolve reference: not found`:             ImageMissing,
		`rpc error: code = Unknown desc = Error response from daemon: manifest for registry.example/not-found/unauthorized:1 not found: manifest unknown: manifest unknown`: ImageMissing,
		`reading manifest 1 in registry.example/x: name unknown`:                                                                                                                                                ImageMissing,
		`Back-off pulling image "registry.example/not-found/unauthorized:1": ErrImagePull: rpc error: code = NotFound desc = no such thing`:                                                                     ImageMissing,
		`failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://auth.example/token: 401 Unauthorized`:                                                              ImageRefused,
		`pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`:                                                                  ImageRefused,
		`unexpected status from HEAD request to https://registry.example/v2/x: 403 Forbidden`:                                                                                                                   ImageRefused,
		`pulling from host 127.0.0.1:44297 failed with status code [manifests 1.0.0]: 401 Unauthorized`:                                                                                                         ImageRefused,
		`unexpected status code https://registry.example/v2/x/blobs/sha256:0429a: 403 Forbidden`:                                                                                                                ImageRefused,
		`Back-off pulling image "registry.example/not-found/unauthorized:1"`:                                                                                                                                    ImagePull,
		`dial tcp: lookup registry.example: no such host`:                                                                                                                                                       ImagePull,
		`failed to resolve reference "registry.example/not-found/unauthorized:1": unexpected status from HEAD request: 429 Too Many Requests`:                                                                   ImagePull,
		`rpc error: code = Unavailable desc = error reading from server: EOF`:                                                                                                                                   ImagePull,
		`rpc error: code = DeadlineExceeded desc = context deadline exceeded`:                                                                                                                                   ImagePull,
		`failed to copy: httpReadSeeker: failed open: unexpected status code https://registry.example/v2/x/blobs/sha256:0: 503 Service Unavailable`:                                                             ImagePull,
		`failed to pull and unpack image "registry.example/not-found/unauthorized:1": failed to extract layer sha256:0: write /var/lib/x: no space left on device`:                                              ImagePull,
		`image pull failed for registry.example/not-found/unauthorized:1 because the registry is unavailable: connection refused`:                                                                               ImagePull,
		`Head "https://registry.example/v2/x/manifests/1": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused`:                                                                               ImagePull,
		`failed to resolve reference "registry.example/not-found/unauthorized:1": failed to do request: Head "https://registry.example/": tls: failed to verify certificate: x509: signed by unknown authority`: ImagePull,
	} {
		v := waiting(image, &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: message})
		if v.Cause != want || (v.State == Doomed) != (want != ImagePull) {
			t.Errorf("%s: %s, %q", message, v.State, v.Cause)
		}
	}
}

func TestWhatIsSaidOfContainers(t *testing.T) {
	waits := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	ended := func(restarts, code int32, reason, message string, ran time.Duration) corev1.ContainerStatus {
		return corev1.ContainerStatus{RestartCount: restarts, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: message, StartedAt: metav1.NewTime(noon.Add(-ran)), FinishedAt: metav1.NewTime(noon),
		}}}
	}
	backOff := func(s corev1.ContainerStatus) corev1.ContainerStatus {
		s.LastTerminationState, s.State = s.State, waits("CrashLoopBackOff", "back-off").State
		return s
	}
	again := func(s corev1.ContainerStatus) corev1.ContainerStatus {
		s.LastTerminationState, s.State = s.State, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon)}}
		s.RestartCount++
		return s
	}
	for name, c := range map[string]struct {
		status corev1.ContainerStatus
		state  State
		told   string
	}{
		"a cache that lags":                 {waits("CreateContainerConfigError", "failed to sync configmap cache: timed out waiting for the condition"), Waiting, "failed to sync"},
		"runs as root":                      {waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"), Doomed, "runAsNonRoot"},
		"no such key":                       {waits("CreateContainerConfigError", "couldn't find key TOKEN in Secret a/b"), Doomed, "couldn't find key"},
		"no command":                        {waits("CreateContainerError", "failed to generate container spec: no command specified"), Doomed, "no command"},
		"a name that is taken for a moment": {waits("CreateContainerError", `failed to reserve container name "x": name is reserved`), Waiting, "reserved"},
		"a bad name":                        {waits("InvalidImageName", "couldn't parse image name"), Doomed, "couldn't parse"},
		"never pulled":                      {waits("ErrImageNeverPull", "Container image is not present with pull policy of Never"), Doomed, "pull policy"},
		"something new":                     {waits("SomethingNew", "we never heard of"), Waiting, "never heard of"},
		"docker's word":                     {ended(0, 127, "ContainerCannotRun", "no such file or directory", 0), Doomed, "cannot be started"},
		"docker's word, of itself":          {ended(0, 128, "ContainerCannotRun", "the daemon was busy", 0), Waiting, "cannot be started: the daemon"},
		"a start that failed by chance":     {ended(0, 128, "StartError", "failed to create containerd task: context deadline exceeded", 0), Waiting, "cannot be started"},
		"a start that fails all the time":   {ended(2, 128, "StartError", "failed to create containerd task: context deadline exceeded", 0), Doomed, "3 times"},
		"another platform":                  {ended(0, 128, "StartError", "exec /app: exec format error", 0), Doomed, "exec format error"},
		"once":                              {ended(0, 1, "Error", "", time.Second), Waiting, "code 1 after 1s"},
		"once, in back-off":                 {backOff(ended(0, 1, "Error", "", time.Second)), Waiting, "code 1"},
		"twice":                             {ended(1, 1, "Error", "", time.Second), Waiting, "2 times"},
		"twice, in back-off":                {backOff(ended(1, 1, "Error", "", time.Second)), Waiting, "2 times"},
		"twice, and runs":                   {again(ended(1, 1, "Error", "", time.Second)), Waiting, "2 times; it runs again"},
		"three times":                       {ended(2, 1, "Error", "", time.Second), Doomed, "3 times"},
		"three times, in back-off":          {backOff(ended(2, 1, "Error", "", time.Second)), Doomed, "3 times"},
		"three times, and runs":             {again(ended(2, 1, "Error", "", time.Second)), Doomed, "3 times; it runs again"},
		"now and then":                      {ended(7, 1, "Error", "", time.Hour), Waiting, "after 1h0m0s"},
		"out of memory once":                {ended(0, 137, "OOMKilled", "", time.Second), Waiting, "memory"},
		"out of memory twice":               {ended(1, 137, "OOMKilled", "", time.Second), Doomed, "memory"},
		"out of memory now and then":        {ended(9, 137, "OOMKilled", "", 24*time.Hour), Waiting, "memory"},
		"its own last words":                {ended(2, 3, "Error", "no database", 0), Doomed, "no database"},
		"killed":                            {ended(2, 137, "Error", "", time.Minute), Doomed, "code 137 (killed) after 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			c.status.Name = "app"
			v := Judge(&corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{c.status}}}, noon, Limits{})
			if v.State != c.state || !strings.Contains(v.Told, c.told) || v.Container != "app" {
				t.Errorf("want %s with %q, got %+v", c.state, c.told, v)
			}
		})
	}
}

// stuck is a pod that no node has room for, for so long.
func stuck(name string, since time.Duration) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "0/3 nodes are available", LastTransitionTime: metav1.NewTime(noon.Add(-since)),
	}}}}
}

func TestRoomIsWaitedFor(t *testing.T) {
	early := Judge(stuck("a", time.Minute), noon, Limits{})
	if early.State != Waiting || !early.Again.Equal(noon.Add(time.Minute)) {
		t.Errorf("after a minute: %+v", early)
	}
	if late := Judge(stuck("a", DefaultUnschedulable), noon, Limits{}); late.State != Doomed {
		t.Errorf("after the grace: %+v", late)
	}
	made := stuck("a", time.Hour)
	made.Status.NominatedNodeName = "node2"
	if v := Judge(made, noon, Limits{}); v.State != Waiting {
		t.Errorf("while room is made: %+v", v)
	}
	gated := stuck("a", time.Hour)
	gated.Status.Conditions[0].Reason = corev1.PodReasonSchedulingGated
	if v := Judge(gated, noon, Limits{}); v.State != Waiting {
		t.Errorf("while it is held back: %+v", v)
	}
}

// saying is a pod whose container waits for a reason.
func saying(name, reason, message string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}}}
}

func missing(name string) *corev1.Pod { return saying(name, "ErrImagePull", "code = NotFound") }

func ready(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Status: corev1.PodStatus{
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}}
}

func leaving(name string) *corev1.Pod {
	p := ready(name)
	p.DeletionTimestamp = new(metav1.NewTime(noon))
	return p
}

// looking is a view of two feeds that has listed these objects.
func looking(t *testing.T, want int, d *appsv1.Deployment, all ...runtime.Object) *view {
	t.Helper()
	v := &view{want: want, sources: make([]source, 2), workload: Workload{"Deployment", "app"}}
	if err := errors.Join(v.take(0, feed.News{Whole: true, All: all}), v.take(1, feed.News{Whole: true, All: []runtime.Object{d}})); err != nil {
		t.Fatal(err)
	}
	return v
}

func generation(now, observed int64) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: now}, Status: appsv1.DeploymentStatus{ObservedGeneration: observed}}
}

func TestDecisions(t *testing.T) {
	quota := generation(1, 1)
	quota.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota: pods", LastTransitionTime: metav1.NewTime(noon.Add(-time.Minute)),
	}}
	full := func(requested string) *appsv1.Deployment {
		d := quota.DeepCopy()
		d.Status.Conditions[0].Message = `pods "app-5d8f-x2x" is forbidden: exceeded quota: preview, requested: ` + requested + `, used: pods=1,requests.memory=1Gi, limited: pods=2,requests.memory=2Gi`
		return d
	}
	for name, c := range map[string]struct {
		want       int
		deployment *appsv1.Deployment
		pods       []runtime.Object
		decided    bool
		doomed     Cause
	}{
		"enough":                           {2, generation(1, 1), []runtime.Object{ready("a"), ready("b")}, true, ""},
		"too few":                          {2, generation(1, 1), []runtime.Object{ready("a")}, false, ""},
		"one of them leaves":               {2, generation(1, 1), []runtime.Object{ready("a"), leaving("b")}, false, ""},
		"of an older generation":           {2, generation(2, 1), []runtime.Object{ready("a"), ready("b")}, false, ""},
		"all doomed":                       {3, generation(1, 1), []runtime.Object{missing("a"), missing("b")}, true, ImageMissing},
		"doomed by an older generation":    {3, generation(2, 1), []runtime.Object{missing("a"), missing("b")}, false, ""},
		"one doomed, one may get ready":    {2, generation(1, 1), []runtime.Object{missing("a"), saying("b", "ContainerCreating", "")}, false, ""},
		"doomed, and what is left of old":  {1, generation(1, 1), []runtime.Object{missing("a"), leaving("b")}, true, ImageMissing},
		"no pods yet":                      {1, generation(1, 1), nil, false, ""},
		"none wanted":                      {0, generation(1, 1), nil, true, ""},
		"no pods for want of quota, still": {1, quota, nil, false, ""},
		"a quota that is full for now":     {2, full("requests.memory=1Gi"), []runtime.Object{ready("a")}, false, ""},
		"a quota smaller than one pod":     {1, full("requests.memory=3Gi"), nil, true, Unschedulable},
		"a quota smaller than all pods":    {3, full("pods=1"), []runtime.Object{ready("a"), ready("b")}, true, Unschedulable},
		"the first may get ready yet":      {3, full("pods=1"), []runtime.Object{ready("a"), saying("b", "ContainerCreating", "")}, false, ""},
		"no room":                          {1, generation(1, 1), []runtime.Object{stuck("a", time.Hour)}, true, Unschedulable},
	} {
		t.Run(name, func(t *testing.T) {
			v := looking(t, c.want, c.deployment, c.pods...)
			end, decided := v.decide(noon)
			if decided != c.decided || (end != nil) != (c.doomed != "") || end != nil && end.verdict.Cause != c.doomed {
				t.Errorf("decided: %v, %+v", decided, end)
			}
		})
	}
	v := looking(t, 1, quota)
	if _, decided := v.decide(noon); decided || !v.again(noon).Equal(noon.Add(time.Minute)) {
		t.Errorf("the quota is looked at again at %s", v.again(noon))
	}
	if end, decided := v.decide(noon.Add(time.Minute)); !decided || !strings.Contains(end.verdict.Told, "exceeded quota") {
		t.Errorf("a quota that stays exceeded: %v, %+v", decided, end)
	}
}

func TestWhatARegistrySaidIsKept(t *testing.T) {
	v := looking(t, 2, generation(1, 1), missing("a"), saying("b", "ContainerCreating", ""))
	v.decide(noon)
	for _, p := range []*corev1.Pod{saying("a", "ImagePullBackOff", "Back-off pulling image"), missing("b")} {
		if err := v.take(0, feed.News{Changed: p}); err != nil {
			t.Fatal(err)
		}
	}
	if end, decided := v.decide(noon); !decided || end == nil {
		t.Error("the kubelet's back-off has hidden what the registry said")
	}
	if err := v.take(0, feed.News{Changed: saying("a", "ContainerCreating", "")}); err != nil {
		t.Fatal(err)
	}
	if _, decided := v.decide(noon); decided {
		t.Error("it goes on after an image that is there now")
	}
}

func TestAListReplacesWhatWasThere(t *testing.T) {
	v := looking(t, 2, generation(1, 1), ready("a"), ready("b"))
	if err := v.take(0, feed.News{Whole: true, All: []runtime.Object{ready("a")}}); err != nil {
		t.Fatal(err)
	}
	if _, decided := v.decide(noon); decided {
		t.Error("a pod counts that is no longer there")
	}
	if err := v.take(0, feed.News{Removed: ready("a")}); err != nil {
		t.Fatal(err)
	}
	if n := len(v.there()); n != 0 {
		t.Errorf("%d pods, all of which were removed", n)
	}
}

func FuzzQuota(f *testing.F) {
	f.Add(`exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=2, limited: pods=2,requests.cpu=1`, 3)
	f.Add("exceeded quota: , requested: =, limited: =,,", -1)
	f.Fuzz(func(t *testing.T, message string, pods int) {
		if outgrown(message, pods) && !strings.Contains(message, "exceeded quota: ") {
			t.Errorf("%q tells of no quota", message)
		}
	})
}

func TestLateIsTheWorst(t *testing.T) {
	full := generation(1, 1)
	full.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota: pods"}}
	if f := looking(t, 2, full, ready("a")).late(noon, time.Minute); f.pod != nil || !strings.Contains(f.verdict.Told, "exceeded quota") {
		t.Errorf("of pods that are ready and too few: %+v", f)
	}
	v := looking(t, 3, generation(1, 1), ready("a"), saying("b", "ContainerCreating", ""), stuck("c", time.Second))
	if f := v.late(noon, time.Minute); f.pod == nil || f.pod.Name != "c" || f.late != time.Minute {
		t.Errorf("it is about %+v", f)
	}
	if f := looking(t, 1, generation(2, 1)).late(noon, time.Minute); !strings.Contains(f.verdict.Told, "controllers") {
		t.Errorf("of a Deployment that nobody has seen: %+v", f.verdict)
	}
}

func TestLinesAreFitToPrint(t *testing.T) {
	for line, want := range map[string]string{
		"plain\ttext\r":                 "plain\ttext",
		"\x1b[31mred\u202e":             "\ufffd[31mred\ufffd",
		"\xff":                          "\ufffd",
		strings.Repeat("x", 9000):       strings.Repeat("x", longestLine) + "…",
		"many" + strings.Repeat("ä", 1): "manyä",
	} {
		if got := printable(line); got != want {
			t.Errorf("%.40q: %.40q", line, got)
		}
	}
}
