package forge

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	// maxKept is how many answers are remembered, the newest ones, and
	// maxAnswer how many bytes each may have.
	maxKept   = 64
	maxAnswer = 1 << 20
)

// counter counts the requests that are made.
type counter struct {
	next  http.RoundTripper
	calls atomic.Int64
}

// RoundTrip makes a request.
func (t *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	t.calls.Add(1)
	return t.next.RoundTrip(r)
}

// memory asks only for what has changed since it was asked last: GitHub does
// not count an answer of 304 to what was sent along with the ETag of before.
// See https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
type memory struct {
	next http.RoundTripper

	mu   sync.Mutex
	kept map[string]kept
	// order is that in which they were kept, the oldest first.
	order []string
}

// kept is an answer of 200 with its ETag.
type kept struct {
	header http.Header
	body   []byte
}

// RoundTrip makes a request, and answers one that GitHub answers with 304 with
// what it answered before.
func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return m.next.RoundTrip(r)
	}
	key := r.URL.String() + "\n" + r.Header.Get("Accept")
	before, known := m.recall(key)
	if known {
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", before.header.Get("Etag"))
	}
	answer, err := m.next.RoundTrip(r)
	switch {
	case err != nil:
		return nil, err
	case known && answer.StatusCode == http.StatusNotModified:
		return before.again(answer), nil
	case answer.StatusCode == http.StatusOK && answer.Header.Get("Etag") != "":
		return answer, m.keep(key, answer)
	}
	return answer, nil
}

func (m *memory) recall(key string) (kept, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[key]
	return k, ok
}

// again is the answer of before, with the headers of now.
func (k kept) again(now *http.Response) *http.Response {
	_ = now.Body.Close() // a 304 has none
	header := k.header.Clone()
	maps.Copy(header, now.Header)
	header.Del("Content-Length")
	now.Status, now.StatusCode = "200 OK", http.StatusOK
	now.Header, now.ContentLength = header, int64(len(k.body))
	now.Body = io.NopCloser(bytes.NewReader(k.body))
	return now
}

// keep remembers an answer unless it is large. The body is read, and stands to
// be read again.
func (m *memory) keep(key string, answer *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		_ = answer.Body.Close() // the connection broke
		return err
	}
	rest := answer.Body
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	if len(body) > maxAnswer {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.kept[key]; !ok {
		m.order = append(m.order, key)
	}
	m.kept[key] = kept{header: answer.Header.Clone(), body: body}
	if len(m.order) > maxKept {
		delete(m.kept, m.order[0])
		m.order = m.order[1:]
	}
	return nil
}
