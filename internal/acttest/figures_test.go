package acttest

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// maxImage is how large the image may be that every job has to fetch, in bytes
// as they go over the wire.
const maxImage = 30e6

func TestImageIsSmall(t *testing.T) {
	open(t)
	size, err := compressed(imageName)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(size)/1e6)
	if size > maxImage {
		t.Errorf("the image has %.1f MB, which is more than %.0f", float64(size)/1e6, maxImage/1e6)
	}
}

// compressed is how many bytes a registry would send of an image.
func compressed(image string) (int64, error) {
	saved, err := os.CreateTemp("", "slipway-image-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(saved.Name())
	defer saved.Close()
	save := exec.Command("docker", "save", image)
	save.Stdout = saved
	if err := save.Run(); err != nil {
		return 0, fmt.Errorf("docker save: %w", err)
	}
	img, err := tarball.ImageFromPath(saved.Name(), nil)
	if err != nil {
		return 0, err
	}
	layers, err := img.Layers()
	if err != nil {
		return 0, err
	}
	var sum counter
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			return 0, err
		}
		zip := gzip.NewWriter(&sum)
		_, err = io.Copy(zip, content)
		if err := errors.Join(err, zip.Close(), content.Close()); err != nil {
			return 0, err
		}
	}
	return int64(sum), nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// BenchmarkRelease measures a release to two environments, with the comment on
// a pull request: how long it takes from the start of the container until
// GitHub is asked for the first time, how long until the container has ended,
// and how often GitHub is asked.
func BenchmarkRelease(b *testing.B) {
	bench := open(b)
	size, err := compressed(imageName)
	if err != nil {
		b.Fatal(err)
	}
	s := newScene(b, bench, hello)
	var first, whole time.Duration
	calls := 0
	for n := 0; b.Loop(); n++ {
		happens := merged(100+n, "1.0."+strconv.Itoa(n))(s)
		before, since := len(s.hub.Requests()), time.Now()
		if r := s.act(happens); !r.succeeded() {
			b.Fatalf("the release failed:\n%s", r)
		}
		started, ended := span(b, since)
		first += s.hub.first(before).Sub(started)
		whole += ended.Sub(started)
		calls += len(s.hub.Requests()) - before
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op") // act's own time says nothing
	b.ReportMetric(float64(first.Milliseconds())/n, "ms-to-first-call")
	b.ReportMetric(float64(whole.Milliseconds())/n, "ms-in-container")
	b.ReportMetric(float64(calls)/n, "calls")
	b.ReportMetric(float64(size)/1e6, "MB-image")
}

// span is when the container of the step was started and when it had ended, of
// the first one since then.
func span(t testing.TB, since time.Time) (started, ended time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := docker(ctx, nil, "events", "--filter", "type=container", "--filter", "event=start", "--filter", "event=die",
		"--filter", "image="+imageName, "--format", "{{json .}}",
		"--since", since.Format(time.RFC3339Nano), "--until", time.Now().Format(time.RFC3339Nano))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(out) {
		var happened struct {
			Action   string
			TimeNano int64 `json:"timeNano"`
		}
		if err := json.Unmarshal([]byte(line), &happened); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(0, happened.TimeNano)
		switch {
		case happened.Action == "start" && started.IsZero():
			started = at
		case happened.Action == "die" && ended.IsZero():
			ended = at
		}
	}
	if started.IsZero() || ended.IsZero() {
		t.Fatalf("Docker tells no start and end of the container: %s", out)
	}
	return started, ended
}
