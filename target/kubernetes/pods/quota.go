package pods

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// outgrown reports whether a quota that has refused a pod has no room for so many
// like it even when nothing else is there, so that waiting is of no use. It goes by
// the words of the API server:
//
//	… exceeded quota: preview, requested: pods=1,requests.memory=3Gi, used: …, limited: pods=20,requests.memory=2Gi
func outgrown(refused string, pods int) bool {
	_, rest, found := strings.Cut(refused, "exceeded quota: ")
	if !found {
		return false
	}
	requested, limited := amounts(rest, ", requested: "), amounts(rest, ", limited: ")
	for name, one := range requested {
		most, known := limited[name]
		if !known {
			continue
		}
		if one.Mul(int64(max(pods, 1))); one.Cmp(most) > 0 {
			return true
		}
	}
	return false
}

// amounts are the quantities behind a word, up to the next word.
func amounts(text, word string) map[string]resource.Quantity {
	_, list, _ := strings.Cut(text, word)
	list, _, _ = strings.Cut(list, ", ")
	all := map[string]resource.Quantity{}
	for pair := range strings.SplitSeq(list, ",") {
		name, amount, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if q, err := resource.ParseQuantity(amount); err == nil {
			all[name] = q
		}
	}
	return all
}
