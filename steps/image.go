package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/version"
)

// findVersion reads git and decides the version: the explicit one, the tag's,
// or one computed from the commit.
func findVersion(ctx context.Context, w *Work) error {
	source, err := version.Read(ctx, w.Dir)
	switch {
	case errors.Is(err, version.ErrNoRepository) && w.Version != "":
	case errors.Is(err, version.ErrNoRepository):
		return deploy.Usage("name one with --version 1.0.0, or release from a git repository with at least one commit",
			"there is no version: none was given, and %s is in no git repository", w.Dir)
	case err != nil && w.Version == "":
		return fmt.Errorf("read git: %w", err)
	case err != nil:
		w.notice(ctx, "git could not be read, so the image will not name its commit: %v", err)
	}
	w.Source = source.On(w.Ref)
	if w.Version == "" {
		if w.Version, err = w.nextVersion(ctx); err != nil {
			return err
		}
	}
	w.notice(ctx, "version %s", w.Version)
	return nil
}

// created is the commit's time, so that the same commit makes the same image;
// without a commit it is the beginning of Unix time, for the same reason.
func (w *Work) created() time.Time {
	if w.Source.Time.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return w.Source.Time
}

// pushImage sends what the registry lacks and claims the version's tag.
func pushImage(ctx context.Context, w *Work) error {
	repository, err := w.repository(ctx)
	if err != nil {
		return err
	}
	image, pushed, err := w.Images.Push(ctx, w.Made.Artifact(), repository, w.Version)
	if err != nil {
		return w.sharedVersion(err)
	}
	w.Image = image
	message := fmt.Sprintf("%s is there already", image)
	if pushed {
		message = fmt.Sprintf("pushed %s", image)
	}
	w.tell(ctx, deploy.Event{Kind: deploy.ImageReady, Image: &image, Message: message})
	return nil
}

func (w *Work) repository(ctx context.Context) (string, error) {
	if w.App.Repository != "" {
		return w.App.Repository, nil
	}
	return w.Repository(ctx, w.App.Name)
}
