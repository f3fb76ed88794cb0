package objects

import (
	"cmp"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// AnnotationEarlier keeps the selector that a user's Service had before Slipway led
// its users, in JSON, until a revision has them.
const AnnotationEarlier = "slipway.dev/earlier-selector"

// annotationBefore keeps the same from then on, for when the environment goes and
// the Service stays.
const annotationBefore = "slipway.dev/selector-before"

// Earlier is the selector of a user's Service from before Slipway; nil where there
// was none, or a revision has had the users since. It notes it at the first look.
func Earlier(s *corev1.Service) (map[string]string, error) {
	text, noted := s.Annotations[AnnotationEarlier]
	if _, led := s.Annotations[annotationLive]; !noted && (led || len(s.Spec.Selector) == 0) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if !noted {
		content, err := json.Marshal(s.Spec.Selector)
		if err != nil {
			return nil, fmt.Errorf("write down the selector of %s: %w", s.Name, err)
		}
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		text = string(content)
		s.Annotations[AnnotationEarlier] = text
	}
	var earlier map[string]string
	if err := json.Unmarshal([]byte(text), &earlier); err != nil {
		return nil, fmt.Errorf("annotation %s of the Service %s/%s: %w", AnnotationEarlier, s.Namespace, s.Name, err)
	}
	return earlier, nil
}

// Led notes that a revision has the users of a Service now.
func Led(s *corev1.Service) {
	if text, noted := s.Annotations[AnnotationEarlier]; noted {
		s.Annotations[annotationBefore] = text
		delete(s.Annotations, AnnotationEarlier)
	}
}

// GiveBack has a user's Service lead to whom it led before Slipway, and takes out
// what Slipway has noted in it. It reports whether the selector of then is known; if
// not, the Service leads to whom it led.
func GiveBack(s *corev1.Service) (known bool, err error) {
	text := cmp.Or(s.Annotations[annotationBefore], s.Annotations[AnnotationEarlier])
	if text != "" {
		var before map[string]string
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			return false, fmt.Errorf("annotation %s of the Service %s/%s: %w", annotationBefore, s.Namespace, s.Name, err)
		}
		s.Spec.Selector = before
	}
	for _, name := range []string{
		annotationBefore, AnnotationEarlier, annotationLive, annotationCandidate, annotationShare, annotationBaseline, annotationBaselineShare, annotationTesters,
	} {
		delete(s.Annotations, name)
	}
	return text != "", nil
}
