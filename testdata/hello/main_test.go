package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBrowsersGetAPageAndOthersALine(t *testing.T) {
	version = "1.2.3"
	for accept, want := range map[string]string{
		"":                          "hello from 1.2.3\n",
		"*/*":                       "hello from 1.2.3\n",
		"text/html,application/xml": "<h1>hello from 1.2.3</h1>",
	} {
		asked := httptest.NewRequest(http.MethodGet, "/", nil)
		asked.Header.Set("Accept", accept)
		answer := httptest.NewRecorder()
		handler(settings{}).ServeHTTP(answer, asked)
		if got := answer.Body.String(); answer.Code != http.StatusOK || !strings.Contains(got, want) {
			t.Errorf("Accept %q: status %d, %q", accept, answer.Code, got)
		}
	}
}

func TestItGetsWorseWhenAsked(t *testing.T) {
	late = "yes"
	defer func() { late = "" }()
	h := handler(settings{share: 100})
	get := func(path string) int {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer.Code
	}
	if before, asked, after := get("/"), get("/worsen"), get("/"); before != http.StatusOK || asked != http.StatusOK || after != http.StatusInternalServerError {
		t.Errorf("before %d, asked %d, after %d", before, asked, after)
	}
}

func TestDueIsExact(t *testing.T) {
	for _, share := range []uint64{0, 1, 10, 50, 99, 100} {
		failed := uint64(0)
		for n := range uint64(100) {
			if due(n+1, share) {
				failed++
			}
		}
		if failed != share {
			t.Errorf("%d of 100 requests fail, want %d", failed, share)
		}
	}
}
