package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The keys of labels and annotations, as the OCI image specification has them.
const (
	keyPrefix     = "org.opencontainers.image."
	keySource     = keyPrefix + "source"
	keyRevision   = keyPrefix + "revision"
	keyVersion    = keyPrefix + "version"
	keyCreated    = keyPrefix + "created"
	keyTitle      = keyPrefix + "title"
	keyBaseName   = keyPrefix + "base.name"
	keyBaseDigest = keyPrefix + "base.digest"
)

// Pack makes an image of files, on a base that it looks up or from scratch.
// Whatever is wrong with the spec, the files or the base is an error here, and
// nothing is sent. The image has to be closed; it outlives ctx.
func (c *Client) Pack(ctx context.Context, spec Spec) (*Packed, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	platform, err := spec.platform()
	if err != nil {
		return nil, err
	}
	root, err := openDir(spec.Dir)
	if err != nil {
		return nil, err
	}
	own, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, abort)()
	p := &Packed{root: root, abort: abort}
	p.layered = p
	err = c.fill(own, p, spec, platform)
	if ctx.Err() != nil { // what has ended in spite of it may be aborted any moment
		err = interruption(ctx)
	}
	if err != nil {
		_ = p.Close()
		return nil, fmt.Errorf("pack the image: %w", err)
	}
	return p, nil
}

func openDir(dir string) (*os.Root, error) {
	if dir == "" {
		dir = "."
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the build: %w", err)
	}
	return root, nil
}

// fill makes the parts of the image: base, layers, configuration.
func (c *Client) fill(ctx context.Context, p *Packed, spec Spec, platform v1.Platform) (err error) {
	if spec.Build.Base != "" {
		if p.base, err = c.pullBase(ctx, spec.Build.Base, platform); err != nil {
			return err
		}
	}
	if err := p.addLayers(ctx, spec, cmp.Or(c.weight, layerWeight)); err != nil {
		return err
	}
	if err := p.identify(); err != nil {
		return err
	}
	p.annotations = annotations(spec, p.base)
	p.config, err = json.Marshal(p.configure(spec, platform))
	return err
}

// addLayers plans all that goes into the image, and makes its layers of it.
func (p *Packed) addLayers(ctx context.Context, spec Spec, weight int64) error {
	plan := &planner{root: p.root, placed: map[string]placement{}}
	entries := make([][]item, len(spec.Build.Files))
	for i, f := range spec.Build.Files {
		items, err := plan.plan(ctx, i, f)
		if err != nil {
			return fmt.Errorf("%s: %w", entryName(i), err)
		}
		entries[i] = items
	}
	if err := p.base.receive(ctx, plan.placed); err != nil {
		return err
	}
	room, err := p.base.room()
	if err != nil || len(entries) == 0 {
		return err
	}
	for _, part := range divide(entries, room, weight) {
		p.own = append(p.own, &layer{
			archive: archive{root: p.root, items: plan.complete(part.items)},
			origin:  entryName(part.entry),
			to:      spec.Build.Files[part.entry].To,
			ctx:     ctx,
		})
	}
	return nil
}

// Labels are what an image says of itself, in the configuration and in the
// manifest.
func (s Spec) Labels() map[string]string { return labels(s) }

func labels(spec Spec) map[string]string {
	all := map[string]string{
		keySource:   spec.Source,
		keyRevision: spec.Revision,
		keyVersion:  spec.Version,
		keyTitle:    spec.Title,
		keyCreated:  spec.created().Format(time.RFC3339),
	}
	for key, value := range all {
		if value == "" {
			delete(all, key)
		}
	}
	return all
}

// keyPacking says how layers were made to bytes. It is no label: what the image
// is does not depend on it.
const keyPacking = "io.github.slipway-ci.packing"

func annotations(spec Spec, base *baseImage) map[string]string {
	all := labels(spec)
	all[keyPacking] = packing
	if base != nil {
		all[keyBaseName] = base.name
		all[keyBaseDigest] = base.digest.String()
	}
	return all
}

// configure makes the configuration: the base's, with what the build changes.
func (p *Packed) configure(spec Spec, platform v1.Platform) v1.ConfigFile {
	created := v1.Time{Time: spec.created()}
	config := p.base.configuration()
	if p.base == nil {
		config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	}
	config.Created = created
	if len(spec.Build.Entrypoint) > 0 {
		config.Config.Entrypoint = spec.Build.Entrypoint
		config.Config.Cmd = nil // the base's were arguments of the base's entrypoint
	}
	config.Config.Labels = mergeLabels(config.Config.Labels, labels(spec))
	for _, l := range p.own {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		config.History = append(config.History, v1.History{Created: created, CreatedBy: "slipway: files to " + l.to})
	}
	return config
}

// mergeLabels keeps the base's labels, but for those by which the base tells
// its own source, version and the like.
func mergeLabels(base, own map[string]string) map[string]string {
	for key, value := range base {
		if !strings.HasPrefix(key, keyPrefix) {
			own[key] = value
		}
	}
	return own
}
