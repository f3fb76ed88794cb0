package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// annotationHold keeps a deploy.Lock as JSON on the Lease: who, why, the run's
// address, and times finer than the Lease's own.
const annotationHold = "slipway.dev/hold"

// readLease is the Lease; nil where there is none.
func (t *Target) readLease(ctx context.Context) (*coordinationv1.Lease, error) {
	l, err := t.kube.CoordinationV1().Leases(t.place.Namespace).Get(ctx, t.place.State(), metav1.GetOptions{})
	if absent(err) {
		return nil, nil // none is an answer
	}
	if err != nil {
		return nil, err
	}
	return l, t.mine(l)
}

// holdIn is the hold that a Lease stands for; nil where it has run out. It is
// told by the clock of whoever reads: machines whose clocks differ by more than
// a part of the time to live may see it end early or late.
func holdIn(l *coordinationv1.Lease) (*deploy.Lock, error) {
	if l == nil {
		return nil, nil // none is an answer
	}
	var hold deploy.Lock
	if err := json.Unmarshal([]byte(l.Annotations[annotationHold]), &hold); err != nil {
		return nil, deploy.Hinted(fmt.Errorf("the Lease %s/%s does not say who holds it: %w", l.Namespace, l.Name, err),
			"make sure that nobody deploys, and remove it: kubectl delete lease -n %s %s", l.Namespace, l.Name)
	}
	if !time.Now().Before(hold.Expires) {
		return nil, nil // none is an answer
	}
	return &hold, nil
}

// Lock takes the environment, or extends what this owner holds.
func (t *Target) Lock(ctx context.Context, o deploy.Owner, ttl time.Duration) error {
	err := ctx.Err()
	if err == nil {
		err = contend(ctx, func() error { return t.take(ctx, o, ttl) })
	}
	return t.ended(ctx, err, "lock %s", t)
}

func (t *Target) take(ctx context.Context, o deploy.Owner, ttl time.Duration) error {
	l, err := t.readLease(ctx)
	if err != nil {
		return err
	}
	held, err := holdIn(l)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	hold := deploy.Lock{Owner: o, Since: now, Expires: now.Add(ttl)}
	switch {
	case held == nil:
	case held.Owner.Run != o.Run:
		return &deploy.Locked{Environment: t.place.Environment, Lock: *held}
	default:
		hold.Since = held.Since
	}
	return t.writeLease(ctx, l, hold, ttl)
}

func (t *Target) writeLease(ctx context.Context, l *coordinationv1.Lease, hold deploy.Lock, ttl time.Duration) error {
	text, err := json.Marshal(hold)
	if err != nil {
		return fmt.Errorf("write down the hold: %w", err)
	}
	api := t.kube.CoordinationV1().Leases(t.place.Namespace)
	missing := l == nil
	if missing {
		l = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: t.place.State(), Namespace: t.place.Namespace, Labels: t.place.Labels()}}
	}
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	l.Annotations[annotationHold] = string(text)
	seconds := int32(min(max(1, math.Ceil(ttl.Seconds())), math.MaxInt32))
	since, renewed := metav1.NewMicroTime(hold.Since), metav1.NewMicroTime(time.Now())
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds = &hold.Owner.Run, &seconds
	l.Spec.AcquireTime, l.Spec.RenewTime = &since, &renewed
	if !missing {
		_, err = api.Update(ctx, l, update)
		return err
	}
	_, err = api.Create(ctx, l, creation)
	if absent(err) { // no namespace
		if err := t.account(ctx); err != nil {
			return err
		}
		_, err = api.Create(ctx, l, creation)
	}
	return err
}

// Unlock removes the Lease if it is this owner's, and nobody has taken it since
// it was read.
func (t *Target) Unlock(ctx context.Context, o deploy.Owner) error {
	return t.ended(ctx, t.giveBack(ctx, o), "unlock %s", t)
}

func (t *Target) giveBack(ctx context.Context, o deploy.Owner) error {
	return contend(ctx, func() error {
		l, err := t.readLease(ctx)
		if err != nil || l == nil {
			return err
		}
		held, err := holdIn(l)
		if err != nil || held == nil || held.Owner.Run != o.Run {
			return err
		}
		err = t.kube.CoordinationV1().Leases(t.place.Namespace).Delete(ctx, l.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &l.UID, ResourceVersion: &l.ResourceVersion},
		})
		return unless(apierrors.IsNotFound, err)
	})
}
