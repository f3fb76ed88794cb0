package objects

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// AnnotationEarlier keeps the selector that a user's Service had before Slipway led
// its users, in JSON, until a revision has them.
const AnnotationEarlier = "slipway.dev/earlier-selector"

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
