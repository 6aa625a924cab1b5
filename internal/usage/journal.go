package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

// MaxJournal is the most bytes that a journal has.
const MaxJournal = 4 << 10

var errJournal = errors.New("not a usage journal")

// journal is an Entry as JSON. Amounts are integers. A name, once written, is
// never used for something else.
type journal struct {
	ID           string         `json:"id"`
	RequestID    string         `json:"request"`
	UserID       string         `json:"user"`
	KeyID        string         `json:"key"`
	ClientID     string         `json:"client"`
	ModelID      string         `json:"model"`
	VendorModel  string         `json:"vendorModel"`
	Provider     string         `json:"provider"`
	Operation    string         `json:"op"`
	Status       string         `json:"status"`
	Ending       string         `json:"ending"`
	Source       string         `json:"source"`
	Stream       bool           `json:"stream"`
	Suspect      bool           `json:"suspect"`
	Counts       pricing.Counts `json:"counts"`
	Charged      int64          `json:"charged"`
	CostPico     int64          `json:"cost"`
	DurationMS   int64          `json:"ms"`
	FirstTokenMS int64          `json:"firstMs"`
	At           int64          `json:"at"` // Unix microseconds
	Pricing      rate           `json:"pricing"`
}

// rate is how a call is priced, as JSON.
type rate struct {
	Prices      pricing.Prices `json:"prices"`
	Multiplier  int64          `json:"bp"`
	CreditValue int64          `json:"value"`
	Increment   int64          `json:"increment"`
}

// Journal returns e as JSON of at most MaxJournal bytes, which a hold carries
// so that the call can be recorded if this process dies. It is written by hand
// because it is on the path of every call.
func (e Entry) Journal() ([]byte, error) {
	b := make([]byte, 0, 768)
	b = append(b, '{')
	b = appendString(b, `"id":`, e.ID)
	b = appendString(b, `"request":`, e.RequestID)
	b = appendString(b, `"user":`, e.UserID)
	b = appendString(b, `"key":`, e.KeyID)
	b = appendString(b, `"client":`, e.ClientID)
	b = appendString(b, `"model":`, e.ModelID)
	b = appendString(b, `"vendorModel":`, e.VendorModel)
	b = appendString(b, `"provider":`, e.Provider)
	b = appendString(b, `"op":`, e.Operation)
	b = appendString(b, `"status":`, e.Status)
	b = appendString(b, `"ending":`, e.Ending)
	b = appendString(b, `"source":`, e.Source)
	b = appendBool(b, `"stream":`, e.Stream)
	b = appendBool(b, `"suspect":`, e.Suspect)
	b = append(b, `"counts":{`...)
	b = closeObject(appendCounts(b, e.Counts))
	b = append(b, ',')
	b = appendInt(b, `"charged":`, int64(e.Charged))
	b = appendInt(b, `"cost":`, e.CostPico)
	b = appendInt(b, `"ms":`, e.DurationMS)
	b = appendInt(b, `"firstMs":`, e.FirstTokenMS)
	b = appendInt(b, `"at":`, e.At.UnixMicro())
	b = append(b, `"pricing":`...)
	b = append(appendRate(b, e), '}')
	if len(b) > MaxJournal {
		return nil, fmt.Errorf("write journal: %d bytes, at most %d are kept", len(b), MaxJournal)
	}
	return b, nil
}

// FromJournal reads what Journal wrote, perhaps in another version of the
// program: fields it does not know are ignored.
func FromJournal(b []byte) (Entry, error) {
	if len(b) > MaxJournal {
		return Entry{}, fmt.Errorf("%w: %d bytes", errJournal, len(b))
	}
	var j journal
	if err := json.Unmarshal(b, &j); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errJournal, err)
	}
	if j.Charged < 0 || j.CostPico < 0 {
		return Entry{}, fmt.Errorf("%w: a negative amount", errJournal)
	}
	for _, s := range []string{j.ID, j.RequestID, j.UserID, j.KeyID, j.ClientID, j.ModelID, j.VendorModel, j.Provider, j.Operation, j.Ending} {
		if strings.ContainsRune(s, 0) { // PostgreSQL does not store it
			return Entry{}, fmt.Errorf("%w: a zero byte", errJournal)
		}
	}
	e := Entry{
		ID: j.ID, RequestID: j.RequestID, UserID: j.UserID, KeyID: j.KeyID, ClientID: j.ClientID,
		ModelID: j.ModelID, VendorModel: j.VendorModel, Provider: j.Provider, Operation: j.Operation,
		Status: j.Status, Ending: j.Ending, Stream: j.Stream, Source: j.Source, Suspect: j.Suspect,
		Counts: j.Counts, Charged: money.Credits(j.Charged), CostPico: j.CostPico,
		DurationMS: j.DurationMS, FirstTokenMS: j.FirstTokenMS, At: time.UnixMicro(j.At).UTC(),
	}
	e.setRate(j.Pricing)
	return e, nil
}

func (e *Entry) setRate(r rate) {
	e.Prices = r.Prices
	e.Terms = money.Terms{Multiplier: r.Multiplier, CreditValue: r.CreditValue, Increment: money.Credits(r.Increment)}
}

// readRate reads what appendRate wrote.
func (e *Entry) readRate(text string) error {
	var r rate
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("read the prices of %s: %w", e.ID, err)
	}
	e.setRate(r)
	return nil
}

// appendRate appends how e is priced, as rate reads it.
func appendRate(b []byte, e Entry) []byte {
	b = append(b, `{"prices":`...)
	b = append(appendPrices(b, &e.Prices), ',')
	b = appendInt(b, `"bp":`, e.Terms.Multiplier)
	b = appendInt(b, `"value":`, e.Terms.CreditValue)
	return closeObject(appendInt(b, `"increment":`, int64(e.Terms.Increment)))
}

func appendPrices(b []byte, p *pricing.Prices) []byte {
	b = append(b, '{')
	b = appendInt(b, `"input":`, int64(p.Input))
	b = appendOptional(b, `"cacheRead":`, p.CacheRead)
	b = appendOptional(b, `"cacheWrite":`, p.CacheWrite)
	b = appendOptional(b, `"cacheWriteLong":`, p.CacheWriteLong)
	b = appendOptional(b, `"imageInput":`, p.ImageInput)
	b = appendOptional(b, `"audioInput":`, p.AudioInput)
	b = appendInt(b, `"output":`, int64(p.Output))
	b = appendOptional(b, `"reasoning":`, p.Reasoning)
	b = appendOptional(b, `"audioOutput":`, p.AudioOutput)
	b = appendOptional(b, `"imageOutput":`, p.ImageOutput)
	b = appendOptional(b, `"image":`, p.Image)
	b = appendOptional(b, `"audioSeconds":`, p.AudioSecond)
	b = appendOptional(b, `"characters":`, p.Character)
	b = appendOptional(b, `"serverToolCall":`, p.ServerToolCall)
	b = appendOptional(b, `"request":`, p.Request)
	if p.High != nil {
		b = appendInt(b, `"contextThreshold":`, p.Threshold)
		b = append(b, `"highContext":`...)
		b = append(appendPrices(b, p.High), ',')
	}
	return closeObject(b)
}

func appendCounts(b []byte, c pricing.Counts) []byte {
	b = appendInt(b, `"input":`, c.Input)
	b = appendInt(b, `"cacheRead":`, c.CacheRead)
	b = appendInt(b, `"cacheWrite":`, c.CacheWrite)
	b = appendInt(b, `"cacheWriteLong":`, c.CacheWriteLong)
	b = appendInt(b, `"imageInput":`, c.ImageInput)
	b = appendInt(b, `"audioInput":`, c.AudioInput)
	b = appendInt(b, `"output":`, c.Output)
	b = appendInt(b, `"reasoning":`, c.Reasoning)
	b = appendInt(b, `"audioOutput":`, c.AudioOutput)
	b = appendInt(b, `"imageOutput":`, c.ImageOutput)
	if c.Units == (pricing.Units{}) {
		return b
	}
	b = appendInt(b, `"image":`, c.Images)
	b = appendInt(b, `"audioSeconds":`, c.AudioSeconds)
	b = appendInt(b, `"characters":`, c.Characters)
	b = appendInt(b, `"serverToolCall":`, c.ServerToolCalls)
	return appendInt(b, `"request":`, c.Requests)
}

// The append functions write a member and a comma, or nothing for the zero
// value; closeObject puts the bracket in the place of the last comma.

func appendString(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) // a string always encodes
			return append(append(b, quoted...), ',')
		}
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"', ',')
}

func appendInt(b []byte, name string, value int64) []byte {
	if value == 0 {
		return b
	}
	return append(strconv.AppendInt(append(b, name...), value, 10), ',')
}

func appendBool(b []byte, name string, value bool) []byte {
	if !value {
		return b
	}
	return append(append(b, name...), "true,"...)
}

func appendOptional(b []byte, name string, value pricing.Optional) []byte {
	if value.IsZero() {
		return b
	}
	return append(strconv.AppendInt(append(b, name...), int64(value.Or(0)), 10), ',')
}

func closeObject(b []byte) []byte {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, '}')
}
