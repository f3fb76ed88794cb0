package ociregistry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"
)

// The codes of the distribution specification that are used here.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeBlobUploadInvalid   = "BLOB_UPLOAD_INVALID"
	codeBlobUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	codeDenied              = "DENIED"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeSizeInvalid         = "SIZE_INVALID"
	codeTagInvalid          = "TAG_INVALID"
	codeUnsupported         = "UNSUPPORTED"
	codeUnknown             = "UNKNOWN"
)

// refusal is an error in the form of the distribution specification.
type refusal struct {
	status  int
	code    string
	message string
	// cause is logged and not sent, as it may name paths.
	cause error
}

// refuse makes a refusal.
func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// Error is the message with its cause.
func (r *refusal) Error() string {
	if r.cause != nil {
		return r.message + ": " + r.cause.Error()
	}
	return r.message
}

// Unwrap gives the cause.
func (r *refusal) Unwrap() error { return r.cause }

// refusalOf turns any error into what the client is told of it.
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	message, status := "the registry could not read or write its files", http.StatusInternalServerError
	var errno syscall.Errno
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		// Not 500: clients try that again, which would not help.
		status = http.StatusInsufficientStorage
		fallthrough
	case errors.As(err, &errno):
		errors.As(err, &errno)
		message = errno.Error() + " in the registry's folder"
	}
	return &refusal{status: status, code: codeUnknown, message: message, cause: err}
}

// write sends the refusal.
func (r *refusal) write(w http.ResponseWriter) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, _ := json.Marshal(map[string][]item{"errors": {{r.code, r.message}}}) // strings always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Header().Del("Content-Length")
	w.WriteHeader(r.status)
	_, _ = w.Write(body) // the client may be gone
}
