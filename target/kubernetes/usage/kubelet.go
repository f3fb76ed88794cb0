package usage

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
)

// fromKubelets asks the kubelet of each node that runs one of the pods. CPU is
// known from the second time on: it is what was used between two readings of
// the counter.
func (s *Source) fromKubelets(ctx context.Context, pods []corev1.Pod) (map[container]need, error) {
	needs, now := map[container]need{}, map[container]counter{}
	asked := map[string]bool{}
	for i := range pods {
		node := pods[i].Spec.NodeName
		if asked[node] {
			continue
		}
		asked[node] = true
		path := "/api/v1/nodes/" + node + "/proxy/metrics/resource"
		text, err := s.client.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			return nil, failed(path, err)
		}
		if err := s.read(text, needs, now); err != nil {
			return nil, failed(path, err)
		}
	}
	for c, n := range needs {
		n.cpu = math.NaN()
		before, old := s.before[c]
		after, known := now[c]
		switch {
		case old && known && after.at.After(before.at) && after.seconds >= before.seconds:
			n.cpu = (after.seconds - before.seconds) / after.at.Sub(before.at).Seconds()
		case old && known && after.at.Equal(before.at):
			now[c] = before // nothing new was measured
		}
		needs[c] = n
	}
	s.before = now
	return needs, nil
}

// read takes what is told of this namespace's containers.
func (s *Source) read(text []byte, needs map[container]need, cpu map[container]counter) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%w: %w", errNoNumbers, err)
	}
	s.each(families["container_memory_working_set_bytes"], func(c container, m *dto.Metric) {
		needs[c] = need{cpu: math.NaN(), memory: m.GetGauge().GetValue()}
	})
	s.each(families["container_cpu_usage_seconds_total"], func(c container, m *dto.Metric) {
		cpu[c] = counter{m.GetCounter().GetValue(), time.UnixMilli(m.GetTimestampMs())}
	})
	return nil
}

func (s *Source) each(family *dto.MetricFamily, f func(container, *dto.Metric)) {
	for _, m := range family.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["namespace"] == s.o.Namespace {
			f(container{labels["pod"], labels["container"]}, m)
		}
	}
}
