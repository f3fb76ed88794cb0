package pods

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// transcript tells the logs of containers while they run, each line once.
type transcript struct {
	client kubernetes.Interface
	tell   func(string)
	hide   func(string) string
	// ctx is that of the goroutines, which close ends and waits for.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	// of are the containers that are followed, by pod and name. Only the
	// goroutine that calls pod, drain and close touches it.
	of map[tailKey]*tail

	mu   sync.Mutex
	ring []string
}

type tailKey struct {
	pod       types.UID
	container string
}

// newTranscript needs close.
func newTranscript(client kubernetes.Interface, o JobOptions) *transcript {
	t := &transcript{client: client, tell: o.Line, hide: o.hiding(), of: map[tailKey]*tail{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// close ends what is still followed.
func (t *transcript) close() {
	t.cancel()
	t.running.Wait()
}

// pod follows the containers of a pod that have begun, and learns which have
// ended.
func (t *transcript) pod(pod *corev1.Pod) {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if s.State.Running == nil && s.State.Terminated == nil {
			continue
		}
		key := tailKey{pod.UID, s.Name}
		l := t.of[key]
		if l == nil {
			l = &tail{transcript: t, namespace: pod.Namespace, pod: pod.Name, container: s.Name, ended: make(chan struct{}), done: make(chan struct{})}
			t.of[key] = l
			t.running.Go(l.follow)
		}
		if s.State.Terminated != nil {
			l.end()
		}
	}
}

// drain waits until all of the logs was told, or the context ends.
func (t *transcript) drain(ctx context.Context) {
	for _, l := range t.of {
		l.end()
		select {
		case <-l.done:
		case <-ctx.Done():
			return
		}
	}
}

// line tells one line, and keeps it among the last ones.
func (t *transcript) line(text string) {
	text = t.hide(printable(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) == logLines {
		t.ring = append(t.ring[:0], t.ring[1:]...)
	}
	t.ring = append(t.ring, text)
	if t.tell != nil {
		t.tell(text)
	}
}

// last are the last lines that were told.
func (t *transcript) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ring
}

// tail follows the log of one container.
type tail struct {
	*transcript
	namespace, pod, container string
	// ended is closed when the container has: what is read after that is all.
	ended chan struct{}
	// done is closed when all was told, or nothing more can be had.
	done chan struct{}
	// at is when the last line that was told was written, same how many of
	// that very moment were.
	at   time.Time
	same int
}

func (l *tail) end() {
	select {
	case <-l.ended:
	default:
		close(l.ended)
	}
}

// follow reads until the container has ended. A connection that breaks is made
// again; what was told before it broke is not told twice.
func (l *tail) follow() {
	defer close(l.done)
	pause := feed.FirstPause
	for {
		over := false
		select {
		case <-l.ended:
			over = true
		default:
		}
		err := l.once(l.ctx)
		if l.ctx.Err() != nil || over && err == nil || apierrors.IsNotFound(err) {
			return
		}
		if err == nil {
			pause = feed.FirstPause
		}
		select {
		case <-l.ctx.Done():
			return
		case <-l.ended:
			if err != nil && !feed.Sleep(l.ctx, pause) {
				return
			}
		case <-time.After(pause):
		}
		pause = min(2*pause, feed.LongestPause)
	}
}

// once reads one connection to its end.
func (l *tail) once(ctx context.Context) error {
	o := &corev1.PodLogOptions{Container: l.container, Follow: true, Timestamps: true}
	if !l.at.IsZero() {
		o.SinceTime = new(metav1.NewTime(l.at)) // to the second: some come again
	}
	stream, err := l.client.CoreV1().Pods(l.namespace).GetLogs(l.pod, o).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	return l.read(stream)
}

// read tells the lines of a stream that were not told yet.
func (l *tail) read(stream io.Reader) error {
	r := bufio.NewReaderSize(stream, 2*longestLine)
	last, known := l.at, l.same
	seen := 0
	for {
		text, err := readLine(r)
		if errors.Is(err, io.EOF) && text == "" {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err // half a line comes again
		}
		at, text, ok := stamped(text)
		switch {
		case !ok:
		case at.Before(last):
			continue
		case at.Equal(last):
			if seen++; seen <= known {
				continue
			}
			l.same++
		case at.Equal(l.at):
			l.same++
		case at.After(l.at):
			l.at, l.same = at, 1
		}
		l.line(text)
	}
}

// readLine is the next line without its end, cut where it is longer than anybody
// reads. An error comes with what there is of a line.
func readLine(r *bufio.Reader) (string, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part[:min(len(part), max(0, 2*longestLine-len(text)))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return strings.TrimSuffix(string(text), "\n"), err
	}
}

// stamped parts a line from the time at its beginning.
func stamped(line string) (time.Time, string, bool) {
	stamp, text, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return time.Time{}, line, false
	}
	return at, text, true
}
