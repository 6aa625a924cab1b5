package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Micro is credits in millionths, as the ledger counts them.
type Micro int64

// UnmarshalJSON reads a decimal number of credits exactly.
func (m *Micro) UnmarshalJSON(b []byte) error {
	v, err := ParseCredits(string(b))
	*m = v
	return err
}

// ParseCredits reads a decimal number of credits exactly.
func ParseCredits(text string) (Micro, error) {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, fmt.Errorf("%q is not a number of credits", text)
	}
	r.Mul(r, big.NewRat(1_000_000, 1))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, fmt.Errorf("%q has more than six decimals", text)
	}
	return Micro(r.Num().Int64()), nil
}

// client has a connection for each of many parallel calls.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}

func readAll(t testing.TB, res *http.Response) []byte {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Get returns the status and body at address; credential may be empty.
func Get(t testing.TB, address, credential string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, readAll(t, res)
}

// GetJSON reads what must be there into out.
func GetJSON(t testing.TB, address, credential string, out any) {
	t.Helper()
	status, body := Get(t, address, credential)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", address, status, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		t.Fatalf("GET %s: %v in %s", address, err, body)
	}
}

// Balance is what a user has.
type Balance struct {
	UserID    string `json:"userId"`
	Remaining Micro  `json:"remainingCredits"`
	Held      Micro  `json:"heldCredits"`
}

// Balance asks for the credits behind a credential.
func (s *Server) Balance(credential string) Balance {
	s.t.Helper()
	var b Balance
	GetJSON(s.t, s.API+"/v1/credits/me", credential, &b)
	return b
}

// Usage is a usage record.
type Usage struct {
	ID           string    `json:"id"`
	RequestID    string    `json:"requestId"`
	Status       string    `json:"status"`
	CreditsUsed  Micro     `json:"creditsUsed"`
	InputTokens  int64     `json:"inputTokens"`
	OutputTokens int64     `json:"outputTokens"`
	CreatedAt    time.Time `json:"createdAt"`
}

// UsageSince returns the records since a time, newest first.
func (s *Server) UsageSince(credential string, since time.Time) []Usage {
	s.t.Helper()
	var all []Usage
	for cursor := ""; ; {
		var page struct {
			Data       []Usage `json:"data"`
			NextCursor string  `json:"nextCursor"`
		}
		GetJSON(s.t, s.API+"/v1/usage?limit=100&start_date="+since.UTC().Format("2006-01-02T15:04:05.000000Z")+"&cursor="+cursor, credential, &page)
		all = append(all, page.Data...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// Counted is the tokens that a call used, as its answer says.
type Counted struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}

// Refusal is the body of an error.
type Refusal struct {
	Code      string         `json:"code"`
	Type      string         `json:"type"`
	Message   string         `json:"message"`
	Param     string         `json:"param"`
	Details   map[string]any `json:"details"`
	RequestID string         `json:"request_id"`
	DocURL    string         `json:"doc_url"`
}

// Answer is what came of a chat call.
type Answer struct {
	Status  int // 0: no answer began
	Header  http.Header
	Trailer http.Header
	Text    string
	Usage   Counted
	Done    bool     // a stream's [DONE], or the whole JSON body
	Error   *Refusal // of the status, or of an event in the stream
	Body    []byte   // when the status is not 200
}

// Chat sends a chat request of the test's making and reads the whole answer.
// The error is one of the connection; what arrived before it is in the Answer.
func (s *Server) Chat(ctx context.Context, credential, body string, header ...string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.API+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	a := Answer{Status: res.StatusCode, Header: res.Header}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		err = a.readStream(res.Body)
		a.Trailer = res.Trailer
		return a, err
	}
	return a, a.readJSON(res.Body)
}

func (a *Answer) readJSON(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var in struct {
		Choices []struct {
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
		Usage Counted  `json:"usage"`
		Error *Refusal `json:"error"`
	}
	if a.Status != http.StatusOK {
		a.Body = body
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return fmt.Errorf("status %d with %q: %w", a.Status, body[:min(len(body), 200)], err)
	}
	a.Usage, a.Error, a.Done = in.Usage, in.Error, a.Status == http.StatusOK
	if len(in.Choices) > 0 {
		a.Text = in.Choices[0].Message.Content
	}
	return nil
}

func (a *Answer) readStream(r io.Reader) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !ok {
			continue
		}
		if a.Done {
			return errors.New("something follows [DONE]")
		}
		if string(data) == "[DONE]" {
			a.Done = true
			continue
		}
		if err := a.event(data); err != nil {
			return err
		}
	}
}

func (a *Answer) event(data []byte) error {
	var in struct {
		Choices []struct {
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
		} `json:"choices"`
		Usage *Counted `json:"usage"`
		Error *Refusal `json:"error"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("event %q: %w", data, err)
	}
	for _, c := range in.Choices {
		a.Text += c.Delta.Content
	}
	if in.Usage != nil {
		a.Usage = *in.Usage
	}
	if in.Error != nil {
		a.Error = in.Error
	}
	return nil
}

// Price returns what tokens cost at prices of credits per million, charged in
// hundredths of a credit: one rounding, up.
func (u Counted) Price(input, output Micro) Micro {
	const increment = 10_000 * 1_000_000 // hundredths, times the million
	cost := u.Prompt*int64(input) + u.Completion*int64(output)
	return Micro((cost + increment - 1) / increment * 10_000)
}
