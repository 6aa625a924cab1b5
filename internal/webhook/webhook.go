package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	randv2 "math/rand/v2"

	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of the endpoints.
var (
	ErrPlan     = fault.New(fault.Forbidden, "feature_not_in_plan", "Your plan does not include this.")
	ErrAddress  = fault.New(fault.Unprocessable, "validation_error", "The url must be a public https address.").At("url")
	ErrEvents   = fault.New(fault.Unprocessable, "validation_error", "Name at least one type of event that there is, or \"*\".").At("events")
	ErrOff      = fault.New(fault.Conflict, "invalid_state", "The endpoint is switched off. Switch it on first.")
	ErrOperator = fault.New(fault.Conflict, "invalid_state", "The operator of this service switched this endpoint off. Ask them.")
	ErrTooMany  = fault.New(fault.RateLimited, "rate_limit_exceeded", "Wait a moment before the next test.")
)

// State says what became of a delivery.
type State string

// The states.
const (
	Waiting   State = "waiting"
	Succeeded State = "succeeded"
	Failed    State = "failed" // no further attempt comes by itself
)

// Why an endpoint is switched off.
const (
	OffByUser     = "user"
	OffGone       = "gone"     // it answered 410
	OffFailing    = "failing"  // for five days
	OffPlan       = "plan"     // the plan allows fewer
	OffByOperator = "operator" // an administrator
)

// Endpoint is where a user wants events told.
type Endpoint struct {
	ID, UserID, URL, Description string
	Events                       []string // types, or "*"
	Enabled                      bool
	DisabledReason               string // "" while enabled
	FailingSince                 time.Time
	LastSuccessAt                time.Time
	CreatedAt                    time.Time

	secret, oldSecret []byte // sealed
	oldUntil          time.Time
}

// wants reports whether an event of the type is told to e.
func (e Endpoint) wants(kind string) bool {
	return slices.Contains(e.Events, "*") || slices.Contains(e.Events, kind)
}

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID, EventID, EndpointID, UserID, Type string
	State                                 State
	Attempts                              int // in all
	NextAttemptAt                         time.Time
	CreatedAt                             time.Time

	tries int // since the delivery began or was replayed
}

// Attempt is one try to deliver.
type Attempt struct {
	At       time.Time
	Status   int // 0: no answer
	Latency  time.Duration
	Response string // the first 4 KiB of the answer, or why there is none
}

// pauses are what lies between the attempts; a tenth is added or taken by
// chance.
var pauses = []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 15 * time.Hour}

const (
	claimLife    = 30 * time.Second    // of one attempt, which takes ten seconds at most
	overlap      = 24 * time.Hour      // both secrets sign
	failingLimit = 5 * 24 * time.Hour  // then an endpoint is switched off
	keep         = 30 * 24 * time.Hour // of the log, and no setting
	shownAnswer  = 4 << 10
	// MaxEndpoints is what those may have whose plan bounds nothing.
	MaxEndpoints = 20
)

// pause returns what lies before the attempt that follows the given one; false
// when none follows.
func pause(tries int) (time.Duration, bool) {
	if tries > len(pauses) {
		return 0, false
	}
	d := float64(pauses[tries-1])
	return time.Duration(math.Round(d * (0.9 + 0.2*randv2.Float64()))), true //nolint:gosec // spreads load, protects nothing
}

const secretPrefix = "whsec_"

// newSecret returns a secret as its owner sees it.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// sign returns the signature header of a message under each secret (Standard
// Webhooks, "Signature scheme").
func sign(secrets []string, eventID string, at time.Time, body []byte) (string, error) {
	var all []string
	for _, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, secretPrefix))
		if err != nil {
			return "", fmt.Errorf("read a webhook secret: %w", err)
		}
		m := hmac.New(sha256.New, key)
		m.Write([]byte(eventID + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		m.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	}
	return strings.Join(all, " "), nil
}

// checkEvents returns events without repetitions, or ErrEvents.
func checkEvents(events []string) ([]string, error) {
	var out []string
	for _, e := range events {
		if e != "*" && !slices.ContainsFunc(Types, func(t Type) bool { return t.Name == e }) {
			return nil, ErrEvents.Saying("There is no event of the type %q; GET /v1/webhooks/event-types lists them.", e)
		}
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, ErrEvents
	}
	return out, nil
}
