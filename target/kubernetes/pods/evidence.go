package pods

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
)

// Bounds of evidence.
const (
	logLines   = 20
	eventLines = 10
	// logBytes are read of a log; longestLine is shown of one of its lines.
	logBytes    = 64 << 10
	longestLine = 4 << 10
	// evidenceTime is how long the looking for evidence may take: the verdict
	// is known already.
	evidenceTime = 5 * time.Second
	// shortSecret is the length below which a secret is not looked for: hiding
	// "1" or "on" would hide half of a log.
	shortSecret = 4
)

const moreTime = "start-timeout in slipway.yaml allows an app more time"

// Evidence is what is known of the pod of a revision that fares worst, its last
// lines and what the cluster says of it. Options.Timeout is not heeded.
func Evidence(ctx context.Context, client kubernetes.Interface, namespace, selector string, o Options) (deploy.Evidence, error) {
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return deploy.Evidence{}, fmt.Errorf("list pods: %w", err)
	}
	v := &view{limits: o.Limits}
	for i := range list.Items {
		v.learn(&list.Items[i])
	}
	v.judge(time.Now())
	f := v.worst()
	if f.pod == nil {
		return deploy.Evidence{Reason: "no replica runs"}, nil
	}
	return o.evidence(ctx, client, *f), nil
}

// doomed is the error of a revision that will not be ready.
func (o Options) doomed(ctx context.Context, client kubernetes.Interface, f finding) *deploy.Doomed {
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	d := &deploy.Doomed{Revision: o.Revision, Evidence: o.evidence(ctx, client, f), Hint: f.verdict.Hint}
	switch {
	case f.late > 0 && d.Hint == "":
		d.Hint = "look at the log; " + moreTime
	case f.late > 0:
		d.Hint += "; " + moreTime
	}
	return d
}

// evidence gathers what there is. What cannot be had is left out: a verdict
// without a log is worth more than none.
func (o Options) evidence(ctx context.Context, client kubernetes.Interface, f finding) deploy.Evidence {
	v := f.verdict
	e := deploy.Evidence{}
	probe := ""
	if f.pod != nil {
		e.Replica = f.pod.Name
		e.Log = lastLines(ctx, client, f.pod, v)
		e.Events, probe = events(ctx, client, f.pod)
	}
	told := v.Told
	if f.late > 0 {
		told = fmt.Sprintf("was not ready within %s: it %s", f.late, told)
	}
	if v.Cause == NotReady && probe != "" {
		told += ": " + probe
	}
	e.Reason = told + place(v)
	return o.masked(e)
}

// place says where it was.
func place(v Verdict) string {
	var parts []string
	if v.Container != "" {
		parts = append(parts, "container "+v.Container)
	}
	if v.Node != "" {
		parts = append(parts, "on node "+v.Node)
	}
	switch {
	case v.Restarts == 1:
		parts = append(parts, "1 restart")
	case v.Restarts > 1:
		parts = append(parts, fmt.Sprintf("%d restarts", v.Restarts))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// lastLines of the container that a verdict is about: those of the run that
// ended, where one has.
func lastLines(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, v Verdict) []string {
	container := v.Container
	if container == "" && len(pod.Spec.Containers) > 0 {
		container = pod.Spec.Containers[0].Name
	}
	if pod.Spec.NodeName == "" || container == "" || v.Restarts == 0 && (v.Cause == ImageMissing || v.Cause == ImageRefused || v.Cause == BadConfig) {
		return nil // nothing has run that could have said anything
	}
	lines := read(ctx, client, pod, container, v.previous)
	if len(lines) == 0 && v.Restarts > 0 {
		// Another run may have begun by now.
		lines = read(ctx, client, pod, container, !v.previous)
	}
	return lines
}

func read(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, container string, previous bool) []string {
	stream, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: new(int64(logLines)), LimitBytes: new(int64(logBytes)),
	}).Stream(ctx)
	if err != nil {
		return nil
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, logBytes))
	if err != nil || len(text) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-logLines):]
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return lines
}

// events are what the cluster says of a pod, oldest first, and what it said of
// its probes last.
func events(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) (told []string, probe string) {
	list, err := client.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(), Limit: 500,
	})
	if err != nil {
		return nil, ""
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return happened(a).Compare(happened(b)) })
	for i := range list.Items {
		e := &list.Items[i]
		if e.Type == corev1.EventTypeNormal {
			continue // what went well explains nothing
		}
		line := e.Reason + ": " + shortened(e.Message)
		if e.Count > 1 {
			line += fmt.Sprintf(" (%d times)", e.Count)
		}
		told = append(told, printable(line))
		if e.Reason == "Unhealthy" {
			probe = shortened(e.Message)
		}
	}
	return told[max(0, len(told)-eventLines):], probe
}

// happened is when an event came last.
func happened(e corev1.Event) time.Time {
	switch {
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// masked is evidence without the values of secrets.
func (o Options) masked(e deploy.Evidence) deploy.Evidence {
	hide := o.hiding()
	e.Reason = hide(e.Reason)
	for _, lines := range [][]string{e.Log, e.Events} {
		for i := range lines {
			lines[i] = hide(lines[i])
		}
	}
	return e
}

// hiding hides the values of secrets in a text, and each line of those that have
// several.
func (o Options) hiding() func(string) string {
	var hidden []string
	values := slices.Clone(o.Hide)
	for _, s := range o.Revision.Secrets {
		values = append(values, s.Reveal())
	}
	for _, value := range values {
		hidden = append(hidden, value)
		for line := range strings.Lines(value) {
			hidden = append(hidden, strings.TrimSpace(line))
		}
	}
	hidden = slices.DeleteFunc(hidden, func(value string) bool { return len(value) < shortSecret })
	// The longest first: one may be a part of another.
	slices.SortFunc(hidden, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return func(text string) string {
		for _, value := range hidden {
			text = strings.ReplaceAll(text, value, "***")
		}
		return text
	}
}

// printable cuts a line and makes it safe to print on a terminal.
func printable(line string) string {
	line = strings.TrimSuffix(line, "\r")
	if len(line) > longestLine {
		line = line[:longestLine] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(line, "\ufffd"))
}
