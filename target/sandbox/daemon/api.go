package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// requestLimit bounds the body of a request, in bytes.
const requestLimit = 8 << 20

// act is something that can be asked of an environment. What it gives back is
// the answer.
type act func(ctx context.Context, e *environment, r wire.Request) (any, error)

// acts on environments. Those that change one make it when it is not there.
var acts = map[string]act{
	wire.ActStart: func(ctx context.Context, e *environment, r wire.Request) (any, error) {
		e.images.logIn(r.Login)
		return nil, e.start(ctx, r.Port, r.Revision, r.Secrets, (*document).candidate)
	},
	wire.ActBaseline: func(ctx context.Context, e *environment, r wire.Request) (any, error) {
		e.images.logIn(r.Login)
		return nil, e.startBaseline(ctx, r.Port, r.Revision, r.Secrets)
	},
	wire.ActSwitch: func(_ context.Context, e *environment, r wire.Request) (any, error) {
		return nil, e.makeLive(r.Port, r.Revision)
	},
	wire.ActSplit: func(_ context.Context, e *environment, r wire.Request) (any, error) {
		return nil, e.split(r.Port, r.Revision, r.Share, r.Baseline)
	},
	wire.ActRoll: func(ctx context.Context, e *environment, r wire.Request) (any, error) {
		e.images.logIn(r.Login)
		return nil, e.roll(ctx, r.Port, r.Revision, r.Secrets, r.Batch)
	},
	wire.ActWrite: func(_ context.Context, e *environment, r wire.Request) (any, error) {
		if r.Record == nil {
			return nil, errors.New("no record to write")
		}
		return nil, e.write(*r.Record)
	},
	wire.ActLock: func(_ context.Context, e *environment, r wire.Request) (any, error) {
		return nil, e.lock(r.Port, r.Owner, r.TTL)
	},
}

// reads are acts that need an environment that is there; on one that is not,
// they have nothing to do.
var reads = map[string]act{
	wire.ActState: func(_ context.Context, e *environment, _ wire.Request) (any, error) {
		return e.state(), nil
	},
	wire.ActStop: func(ctx context.Context, e *environment, r wire.Request) (any, error) {
		return nil, e.stop(ctx, r.Revision)
	},
	wire.ActSignal: func(_ context.Context, e *environment, r wire.Request) (any, error) {
		if r.Signal == nil {
			return nil, errors.New("no signal to give")
		}
		return nil, e.signal(*r.Signal)
	},
	wire.ActUnlock: func(_ context.Context, e *environment, r wire.Request) (any, error) {
		return nil, e.unlock(r.Owner)
	},
	wire.ActEvidence: func(_ context.Context, e *environment, r wire.Request) (any, error) {
		return e.evidence(r.Revision), nil
	},
}

// handler is the control API.
func (d *daemon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathHello, func(w http.ResponseWriter, _ *http.Request) { answer(w, d.hello(), nil) })
	mux.HandleFunc("POST "+wire.PathDown, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, d.hello(), nil)
		d.down()
	})
	mux.Handle("GET "+wire.PathStatus, sameProtocol(func(w http.ResponseWriter, _ *http.Request) { answer(w, d.status(), nil) }))
	mux.Handle("POST /environments/{app}/{environment}/{act}", sameProtocol(d.serveAct))
	return mux
}

// sameProtocol refuses a client that speaks another protocol.
func sameProtocol(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(wire.Header) != strconv.Itoa(wire.Protocol) {
			answer(w, nil, wire.ErrOtherVersion())
			return
		}
		next(w, r)
	})
}

// serveAct reads a request, acts, and answers.
func (d *daemon) serveAct(w http.ResponseWriter, r *http.Request) {
	var request wire.Request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, requestLimit)).Decode(&request); err != nil {
		answer(w, nil, fmt.Errorf("read the request: %w", err))
		return
	}
	k := key{app: r.PathValue("app"), name: r.PathValue("environment")}
	value, err := d.perform(r.Context(), k, r.PathValue("act"), request)
	answer(w, value, err)
}

// perform finds the environment and the act.
func (d *daemon) perform(ctx context.Context, k key, name string, r wire.Request) (any, error) {
	if name == wire.ActRemove {
		return nil, d.remove(k)
	}
	if do, known := acts[name]; known {
		e, err := d.makeEnvironment(k)
		if err != nil {
			return nil, err
		}
		return do(ctx, e, r)
	}
	do, known := reads[name]
	if !known {
		return nil, fmt.Errorf("there is no act %q", name)
	}
	e, err := d.environment(k)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nothing(name), nil
	}
	return do(ctx, e, r)
}

// nothing is what an environment answers that is not there.
func nothing(act string) any {
	switch act {
	case wire.ActState:
		return deploy.State{}
	case wire.ActEvidence:
		return deploy.Evidence{}
	}
	return nil
}

// answer writes a value, or an error.
func answer(w http.ResponseWriter, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		value = wire.Encode(err)
	}
	if value == nil {
		value = struct{}{}
	}
	_ = json.NewEncoder(w).Encode(value) // a client that has gone needs no answer
}
