package apply

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// briefer is an error of the server in fewer words.
type briefer struct {
	error
	text string
}

func (b *briefer) Error() string { return b.text }

func (b *briefer) Unwrap() error { return b.error }

// lengthy is from how many bytes on a cause is shortened.
const lengthy = 300

// brief leaves the values out of what the server says of an object that it does not take:
// for a Job it repeats the whole template, as it is in the server's memory, before it says
// what is wrong.
func brief(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	text := err.Error()
	for _, cause := range status.Status().Details.Causes {
		value := strings.Index(cause.Message, ": ")
		end := strings.LastIndex(cause.Message, "}: ")
		if len(cause.Message) > lengthy && value >= 0 && end > value {
			text = strings.ReplaceAll(text, cause.Message, cause.Message[:value]+": "+cause.Message[end+len("}: "):])
		}
	}
	if text == err.Error() {
		return err
	}
	return &briefer{err, text}
}
