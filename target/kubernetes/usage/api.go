package usage

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// podMetrics is the part of a PodMetricsList of metrics.k8s.io/v1beta1 that is
// needed. The cluster reduces counters to rates by itself.
type podMetrics struct {
	Items []struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Containers []struct {
			Name  string `json:"name"`
			Usage struct {
				CPU    resource.Quantity `json:"cpu"`
				Memory resource.Quantity `json:"memory"`
			} `json:"usage"`
		} `json:"containers"`
	} `json:"items"`
}

// fromAPI asks the metrics API for all pods of the namespace.
func (s *Source) fromAPI(ctx context.Context) (map[container]need, error) {
	path := "/apis/metrics.k8s.io/v1beta1/namespaces/" + s.o.Namespace + "/pods"
	// Without the header, metrics-server would answer in the client's own encoding.
	text, err := s.client.CoreV1().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return nil, failed(path, err)
	}
	return parsePodMetrics(path, text)
}

func parsePodMetrics(path string, text []byte) (map[container]need, error) {
	var list podMetrics
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, failed(path, fmt.Errorf("%w: %w", errNoNumbers, err))
	}
	needs := map[container]need{}
	for _, pod := range list.Items {
		for _, c := range pod.Containers {
			needs[container{pod.Metadata.Name, c.Name}] = need{cpu: c.Usage.CPU.AsApproximateFloat64(), memory: c.Usage.Memory.AsApproximateFloat64()}
		}
	}
	return needs, nil
}
