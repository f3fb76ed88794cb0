package pods

import (
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// statefulSet is one that is being updated to the revision new.
func statefulSet(replicas, partition, updated, ready int32, current string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Generation: 2, UID: "set"},
		Spec: appsv1.StatefulSetSpec{Replicas: &replicas, UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
			Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition},
		}},
		Status: appsv1.StatefulSetStatus{
			ObservedGeneration: 2, Replicas: replicas, UpdatedReplicas: updated, ReadyReplicas: ready, CurrentRevision: current, UpdateRevision: "new",
		},
	}
}

func daemonSet(desired, updated, available int32) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Generation: 2, Annotations: map[string]string{appsv1.DeprecatedTemplateGeneration: "2"}},
		Status:     appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: desired, UpdatedNumberScheduled: updated, NumberAvailable: available},
	}
}

// unseen is a workload whose controller has not looked at it since it was changed.
func unseen(o metav1.Object) runtime.Object {
	o.SetGeneration(3)
	return o.(runtime.Object)
}

// labelled is a pod with one more label.
func labelled(p *corev1.Pod, label, value string) *corev1.Pod {
	p.Labels = map[string]string{label: value}
	return p
}

func of(p *corev1.Pod, revision string) *corev1.Pod {
	return labelled(p, appsv1.ControllerRevisionHashLabelKey, revision)
}

func TestRollouts(t *testing.T) {
	for name, c := range map[string]struct {
		workload runtime.Object
		pods     []runtime.Object
		decided  bool
		doomed   string // the pod that is told of
	}{
		"all are updated and ready":               {statefulSet(2, 0, 2, 2, "new"), nil, true, ""},
		"the old ones are ready":                  {statefulSet(2, 0, 0, 2, "old"), []runtime.Object{of(ready("a"), "old"), of(ready("b"), "old")}, false, ""},
		"one is updated":                          {statefulSet(2, 0, 1, 2, "old"), nil, false, ""},
		"one is not ready":                        {statefulSet(2, 0, 2, 1, "new"), nil, false, ""},
		"the revision is not made the current":    {statefulSet(2, 0, 2, 2, "old"), nil, false, ""},
		"the status is of the generation before":  {unseen(statefulSet(2, 0, 2, 2, "new")), nil, false, ""},
		"nothing is wanted":                       {statefulSet(0, 0, 0, 0, "old"), nil, true, ""},
		"nothing is wanted, but not seen yet":     {unseen(statefulSet(0, 0, 0, 0, "old")), nil, false, ""},
		"those above the partition are updated":   {statefulSet(3, 2, 1, 3, "old"), nil, true, ""},
		"one above the partition is not updated":  {statefulSet(3, 1, 1, 3, "old"), nil, false, ""},
		"one below the partition is not ready":    {statefulSet(3, 2, 1, 2, "old"), nil, false, ""},
		"the partition is above all":              {statefulSet(2, 5, 0, 2, "old"), nil, true, ""},
		"a new pod is broken":                     {statefulSet(2, 0, 1, 1, "old"), []runtime.Object{of(ready("a"), "old"), of(missing("b"), "new")}, true, "b"},
		"an old pod is broken":                    {statefulSet(2, 0, 1, 1, "old"), []runtime.Object{of(missing("a"), "old"), of(ready("b"), "new")}, false, ""},
		"a broken pod of a generation before":     {unseen(statefulSet(2, 0, 1, 1, "old")), []runtime.Object{of(missing("b"), "new")}, false, ""},
		"pods on all nodes":                       {daemonSet(3, 3, 3), nil, true, ""},
		"no nodes":                                {daemonSet(0, 0, 0), nil, true, ""},
		"an old pod on one node":                  {daemonSet(3, 2, 3), nil, false, ""},
		"one node's pod is not available":         {daemonSet(3, 3, 2), nil, false, ""},
		"nodes that are not counted yet":          {unseen(daemonSet(0, 0, 0)), nil, false, ""},
		"a new pod is broken on one of the nodes": {daemonSet(2, 1, 1), []runtime.Object{labelled(ready("a"), generationLabel, "1"), labelled(missing("b"), generationLabel, "2")}, true, "b"},
		"an old pod is broken on one of them":     {daemonSet(2, 1, 1), []runtime.Object{labelled(missing("a"), generationLabel, "1"), labelled(ready("b"), generationLabel, "2")}, false, ""},
	} {
		v := &view{inOrder: true, advanced: func() {}, sources: make([]source, 2), workload: Workload{"StatefulSet", "app"}}
		if err := errors.Join(v.take(0, feed.News{Whole: true, All: c.pods}), v.take(1, feed.News{Whole: true, All: []runtime.Object{c.workload}})); err != nil {
			t.Fatal(err)
		}
		end, decided := v.decide(noon)
		if decided != c.decided || (end != nil) != (c.doomed != "") || end != nil && end.pod.Name != c.doomed {
			t.Errorf("%s: decided %t, %+v", name, decided, end)
		}
	}
}

func TestByHand(t *testing.T) {
	set, daemons := statefulSet(1, 0, 1, 1, "new"), daemonSet(1, 1, 1)
	if ByHand(set) || ByHand(daemons) || ByHand(generation(1, 1)) {
		t.Error("what is updated by the cluster is taken for updated by hand")
	}
	set.Spec.UpdateStrategy.Type, daemons.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType
	if !ByHand(set) || !ByHand(daemons) {
		t.Error("OnDelete is not seen")
	}
}

// A pod is deleted only if it is the set's own, of another revision, and broken.
func TestWhichPodsHoldUp(t *testing.T) {
	set := statefulSet(2, 0, 1, 1, "old")
	owned := func(p *corev1.Pod, revision string) *corev1.Pod {
		of(p, revision).OwnerReferences = []metav1.OwnerReference{{UID: set.UID, Controller: new(true)}}
		return p
	}
	unready := func(after time.Duration) *corev1.Pod {
		p := saying("a", "", "")
		p.Status.StartTime = new(metav1.NewTime(noon.Add(-time.Hour)))
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(p.Status.StartTime.Add(after))}}
		return p
	}
	strange := owned(missing("a"), "broken")
	strange.OwnerReferences[0].UID = types.UID("another")
	gone := owned(missing("a"), "broken")
	gone.DeletionTimestamp = new(metav1.NewTime(noon))
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"doomed":                        {owned(missing("a"), "broken"), true},
		"doomed, of the newest":         {owned(missing("a"), "new"), false},
		"doomed, of an unknown one":     {owned(missing("a"), ""), false},
		"another set's":                 {strange, false},
		"going":                         {gone, false},
		"ready":                         {owned(ready("a"), "broken"), false},
		"never ready":                   {owned(unready(time.Second), "broken"), true},
		"ready once":                    {owned(unready(time.Minute), "broken"), false},
		"never ready, of the newest":    {owned(unready(time.Second), "new"), false},
		"on its way, no kubelet has it": {owned(saying("a", "ContainerCreating", ""), "broken"), true},
	} {
		if got := holdsUp(set, c.pod, noon, Limits{}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The pods of a Deployment's current template are told from older ones.
func TestTheNewestTemplate(t *testing.T) {
	d := generation(1, 1)
	d.UID = "app"
	set := func(owner types.UID, revision, hash string) appsv1.ReplicaSet {
		return appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{revisionOf: revision}, Labels: map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash},
			OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: new(true)}},
		}}
	}
	all := []appsv1.ReplicaSet{set("app", "9", "nine"), set("app", "10", "ten"), set("another", "11", "eleven"), set("app", "", "none")}
	if got := newestHash(d, all); got != "ten" {
		t.Errorf("the newest is %q", got)
	}
	if got := newestHash(d, all[2:]); got != "" {
		t.Errorf("without a ReplicaSet of its own the newest is %q", got)
	}
}
