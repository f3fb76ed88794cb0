package pods

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// view is what is known of a revision's pods and of what makes them.
type view struct {
	limits   Limits
	want     int
	workload Workload
	log      *slog.Logger
	// inOrder: the workload replaces its pods in place, and says itself when it is
	// done. Advanced is called when more of them are ready than there were, which
	// best counts.
	inOrder  bool
	advanced func()
	best     int

	sources  []source
	pods     map[types.UID]*seen
	standing *standing
}

// source is one feed, as the view knows it.
type source struct {
	// listed: all that there is has been told.
	listed  bool
	trouble error
}

// seen is a pod with what was known of it last.
type seen struct {
	pod     *corev1.Pod
	verdict Verdict
}

// finding is what a wait came to, if it is not good.
type finding struct {
	// pod that it is about; nil where there is none.
	pod     *corev1.Pod
	verdict Verdict
	// late: the time was over.
	late time.Duration
}

// take learns what a feed tells. An error is final.
func (v *view) take(from int, n feed.News) error {
	if n.Final != nil {
		return refused(n.Final)
	}
	s := &v.sources[from]
	if v.log != nil && n.Trouble != nil && s.trouble == nil {
		v.log.Debug("listen to the cluster", "error", n.Trouble)
	}
	s.trouble = n.Trouble
	if n.Whole {
		s.listed = true
		v.forget(from)
		for _, o := range n.All {
			v.learn(o)
		}
	}
	if n.Changed != nil {
		v.learn(n.Changed)
	}
	if n.Removed != nil {
		v.drop(n.Removed)
	}
	if from > 0 && s.listed && v.standing == nil {
		return deploy.Hinted(fmt.Errorf("%s is not there", v.workload), "somebody else has removed it; release again")
	}
	return nil
}

// refused is a final error with what to do.
func refused(err error) error {
	if apierrors.IsForbidden(err) {
		return deploy.Hinted(err, "its Role needs the verbs list and watch for that")
	}
	return err
}

// forget drops what is no longer there, but keeps what was concluded of pods
// that are.
func (v *view) forget(from int) {
	if from > 0 {
		v.standing = nil
		return
	}
	for _, s := range v.pods {
		s.pod = nil
	}
}

func (v *view) learn(o runtime.Object) {
	if pod, is := o.(*corev1.Pod); is {
		if v.pods == nil {
			v.pods = map[types.UID]*seen{}
		}
		if v.pods[pod.UID] == nil {
			v.pods[pod.UID] = &seen{}
		}
		v.pods[pod.UID].pod = pod
		return
	}
	if s, is := standingOf(o); is {
		v.standing = &s
	}
}

func (v *view) drop(o runtime.Object) {
	if pod, is := o.(*corev1.Pod); is {
		delete(v.pods, pod.UID)
		return
	}
	v.standing = nil
}

// judge looks at every pod anew.
func (v *view) judge(now time.Time) {
	for _, s := range v.pods {
		if s.pod == nil {
			continue
		}
		s.verdict = lasting(s.verdict, Judge(s.pod, now, v.limits))
	}
}

// lasting keeps what a registry has said while the kubelet waits to ask it
// again: not every kubelet repeats why it does.
func lasting(before, now Verdict) Verdict {
	known := before.State == Doomed && (before.Cause == ImageMissing || before.Cause == ImageRefused)
	if known && now.State == Waiting && now.Cause == ImagePull && now.Container == before.Container && now.Reason == "ImagePullBackOff" {
		return before
	}
	return now
}

// decide says whether it is known how the revision fares; a nil finding is
// well. It is not while the workload's controller has not seen what is wanted.
func (v *view) decide(now time.Time) (*finding, bool) {
	for _, s := range v.sources {
		if !s.listed {
			return nil, false
		}
	}
	v.judge(now)
	if v.standing != nil && !v.standing.current {
		return nil, false
	}
	if v.inOrder {
		return v.decideRollout()
	}
	ready, alive, doomed := v.count()
	switch {
	case ready >= v.want:
		return nil, true
	case alive > 0 && doomed == alive:
		return v.worst(), true
	case alive == ready+doomed && v.standing != nil: // only more pods could help
		if verdict := v.standing.judge(now, v.limits, v.want); verdict.State == Doomed {
			return &finding{verdict: verdict}, true
		}
	}
	return nil, false
}

// count are the pods that are ready, that do not end, and that are doomed.
func (v *view) count() (ready, alive, doomed int) {
	for _, s := range v.there() {
		switch s.verdict.State {
		case Ready:
			ready++
		case Doomed:
			doomed++
		case Gone:
			continue
		case Waiting:
		}
		alive++
	}
	return ready, alive, doomed
}

// there are the pods that exist, in a lasting order.
func (v *view) there() []*seen {
	all := slices.DeleteFunc(slices.Collect(maps.Values(v.pods)), func(s *seen) bool { return s.pod == nil })
	slices.SortFunc(all, func(a, b *seen) int { return strings.Compare(a.pod.Name, b.pod.Name) })
	return all
}

// worst is about the pod that fares worst.
func (v *view) worst() *finding {
	var worst *seen
	for _, s := range v.concerned() {
		if worst == nil || s.verdict.rank() > worst.verdict.rank() {
			worst = s
		}
	}
	if worst == nil {
		return &finding{verdict: Verdict{State: Waiting, Told: "has no pod"}}
	}
	return &finding{pod: worst.pod, verdict: worst.verdict}
}

// again is when time alone may decide something; zero where it cannot.
func (v *view) again(now time.Time) time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, s := range v.there() {
		sooner(s.verdict.Again)
	}
	if v.standing != nil {
		sooner(v.standing.judge(now, v.limits, v.want).Again)
	}
	return next
}

// trouble is why nothing is heard; nil where all is.
func (v *view) trouble() error {
	for _, s := range v.sources {
		switch {
		case s.trouble != nil:
			return s.trouble
		case !s.listed:
			return errSilent
		}
	}
	return nil
}

// errSilent is why nothing is known of what was never listed.
var errSilent = errors.New("the cluster has not answered yet")

// late is what is known when the time is over.
func (v *view) late(now time.Time, limit time.Duration) finding {
	v.judge(now)
	f := *v.worst()
	if v.inOrder && v.standing != nil && v.standing.current && (f.pod == nil || f.verdict.State == Ready) {
		return finding{verdict: v.standing.rollout.short(), late: limit}
	}
	refused := v.standing != nil && v.standing.refused != ""
	if f.pod == nil && v.standing != nil || refused && f.verdict.State == Ready {
		f.pod, f.verdict = nil, v.standing.judge(now, v.limits, v.want)
		if !v.standing.current {
			f.verdict.Told = "has not been looked at by the cluster's controllers"
		}
	}
	f.late = limit
	return f
}
