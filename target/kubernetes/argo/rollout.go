package argo

import (
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-ci/slipway/deploy"
)

// rollout is what is read of a Rollout.
type rollout struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              spec   `json:"spec"`
	Status            status `json:"status"`
}

type spec struct {
	// Replicas is 1 where it is left out.
	Replicas    *int32                  `json:"replicas"`
	Paused      bool                    `json:"paused"`
	Selector    *metav1.LabelSelector   `json:"selector"`
	Template    *corev1.PodTemplateSpec `json:"template"`
	WorkloadRef *struct{ Kind, Name string }
	Strategy    struct {
		Canary    *canary    `json:"canary"`
		BlueGreen *blueGreen `json:"blueGreen"`
	} `json:"strategy"`
}

type canary struct {
	Steps          []step `json:"steps"`
	TrafficRouting *struct {
		// MaxTrafficWeight is what all users are; 100 where it is left out.
		MaxTrafficWeight *int32 `json:"maxTrafficWeight"`
	} `json:"trafficRouting"`
}

// step is one of a canary; of those that do other things nothing is set.
type step struct {
	SetWeight      *int32    `json:"setWeight"`
	Pause          *pause    `json:"pause"`
	SetCanaryScale *struct{} `json:"setCanaryScale"`
}

// pause without a duration is for ever.
type pause struct {
	// Duration is in seconds, or a text such as 10m.
	Duration *intstr.IntOrString `json:"duration"`
}

type blueGreen struct {
	// AutoPromotionEnabled is true where it is left out.
	AutoPromotionEnabled *bool `json:"autoPromotionEnabled"`
	AutoPromotionSeconds int32 `json:"autoPromotionSeconds"`
	// ScaleDownDelaySeconds is 30 where it is left out.
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds"`
}

type status struct {
	Abort            bool   `json:"abort"`
	PromoteFull      bool   `json:"promoteFull"`
	CurrentPodHash   string `json:"currentPodHash"`
	StableRS         string `json:"stableRS"`
	CurrentStepIndex *int32 `json:"currentStepIndex"`
	// ObservedGeneration is a number.
	ObservedGeneration string `json:"observedGeneration"`
	UpdatedReplicas    int32  `json:"updatedReplicas"`
	// AvailableReplicas are of all versions; of the active one where a blue-green has
	// switched.
	AvailableReplicas int32 `json:"availableReplicas"`
	PauseConditions   []struct {
		Reason string `json:"reason"`
	} `json:"pauseConditions"`
	Phase   string `json:"phase"`
	Message string `json:"message"`
	Canary  struct {
		Weights *struct {
			Canary struct {
				Weight int32 `json:"weight"`
			} `json:"canary"`
		} `json:"weights"`
	} `json:"canary"`
	BlueGreen struct {
		ActiveSelector string `json:"activeSelector"`
	} `json:"blueGreen"`
}

// The words of a status that decide.
const (
	phaseHealthy  = "Healthy"
	phaseDegraded = "Degraded"
	// pauseInconclusive: an analysis could not tell.
	pauseInconclusive = "InconclusiveAnalysisRun"
)

// read takes in a Rollout as the server sends it.
func read(o *unstructured.Unstructured) (*rollout, error) {
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var r rollout
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the Rollout %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return &r, nil
}

// seen reports whether the status is about the current specification.
func (r *rollout) seen() bool {
	observed, err := strconv.ParseInt(r.Status.ObservedGeneration, 10, 64)
	return err == nil && observed == r.Generation
}

func (r *rollout) replicas() int {
	if r.Spec.Replicas == nil {
		return 1
	}
	return int(*r.Spec.Replicas)
}

// live is the hash of the pods that users have; empty where none has been
// promoted.
func (r *rollout) live() string {
	if r.Spec.Strategy.BlueGreen != nil && r.Status.BlueGreen.ActiveSelector != "" {
		return r.Status.BlueGreen.ActiveSelector
	}
	return r.Status.StableRS
}

// promoted reports whether all users have what the specification says.
func (r *rollout) promoted() bool {
	s := r.Status
	there := int(s.AvailableReplicas) >= r.replicas() // the first version is called stable before it is ready
	return r.seen() && there && s.CurrentPodHash != "" && s.CurrentPodHash == s.StableRS && s.CurrentPodHash == r.live()
}

// step is how many steps of a canary are done.
func (r *rollout) step() int {
	if r.Status.CurrentStepIndex == nil {
		return 0
	}
	return int(*r.Status.CurrentStepIndex)
}

// routed reports whether something else than the number of pods splits users.
func (r *rollout) routed() bool {
	return r.Spec.Strategy.Canary != nil && r.Spec.Strategy.Canary.TrafficRouting != nil
}

// percent is a weight as a share of the users.
func (c *canary) percent(weight int32) deploy.Percent {
	most := int32(100)
	if c.TrafficRouting != nil && c.TrafficRouting.MaxTrafficWeight != nil && *c.TrafficRouting.MaxTrafficWeight > 0 {
		most = *c.TrafficRouting.MaxTrafficWeight
	}
	return deploy.Percent(100 * float64(weight) / float64(most))
}

// trouble is why the Rollout goes no further by itself; empty where it does.
func (r *rollout) trouble() string {
	s := r.Status
	switch {
	case !r.seen():
		return ""
	case s.Abort:
		return "was aborted" + told(s.Message)
	case s.Phase == phaseDegraded && !aborted(s.Message): // what a retry has left behind is old
		return "is degraded" + told(s.Message)
	case r.Spec.Paused:
		return "was paused by somebody (spec.paused)"
	}
	for _, p := range s.PauseConditions {
		if p.Reason == pauseInconclusive {
			return "is paused, because an analysis could not tell"
		}
	}
	return ""
}
