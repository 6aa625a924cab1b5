package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
)

// streams is how many calls run at once when the process is killed.
const streams = 32

// The process is killed in the middle of streams, again and again, and every
// third time once more while it starts, at the latest while it resolves what was
// open. Afterwards it is ready within a second, the ledger is right, every answered call is
// charged once, and no hold is open.
func TestKillLosesNothing(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		rounds := 25
		if text := os.Getenv("REPHLO_E2E_ROUNDS"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			rounds = n
		}
		seed := uint64(time.Now().UnixNano())
		random := rand.New(rand.NewPCG(seed, 0))
		t.Logf("%d rounds, seed %d", rounds, seed)
		s := e2e.New(t, e2e.Options{Database: database})
		key := s.Admin("root@example.com")
		s.Up()
		answered, inStart, starts := 0, 0, []time.Duration{}
		for n := range rounds {
			before, begin := s.Balance(key), time.Now().Add(-time.Millisecond)
			calls := storm(s, key, fmt.Sprintf("kill-%d", n), time.Duration(20+random.IntN(400))*time.Millisecond)
			for again := random.IntN(3); again == 0; again = random.IntN(3) {
				s.Launch()
				time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond) // as above
				s.Kill()
				inStart++
			}
			took := s.Up()
			starts = append(starts, took)
			s.Verify()
			answered += settle(t, s, key, n, before, begin, calls)
			if t.Failed() {
				return
			}
		}
		slices.Sort(starts)
		t.Logf("%d kills while it started; %d answered calls; ready after %s, at worst %s", inStart, answered, starts[len(starts)/2], starts[len(starts)-1])
		if median := starts[len(starts)/2]; median > time.Second { // one start may meet a busy machine
			t.Errorf("ready again after %s, want a second; all: %v", median, starts)
		}
		if answered == 0 {
			t.Error("no call was answered in any round, so nothing was tested")
		}
	})
}

// call is one call under the storm, by its request id.
type call struct {
	id     string
	answer e2e.Answer
	err    error
}

// storm keeps 32 streams running and kills the server after a while.
func storm(s *e2e.Server, key, name string, after time.Duration) []call {
	return load(s, key, name, func() {
		time.Sleep(after) // the moment is the point of the test
		s.Kill()
	})
}

// load keeps 32 streams running while do runs, and returns when they have
// ended. A client stops at an error of the connection.
func load(s *e2e.Server, key, name string, do func()) []call {
	var mu sync.Mutex
	var calls []call
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	for i := range streams {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c := call{id: fmt.Sprintf("%s-%d-%d", name, i, n)}
				// The number of words differs, so that calls end at any time.
				body := fmt.Sprintf(`{"model":"test-echo","stream":true,"stream_options":{"include_usage":true},"max_tokens":200,"messages":[{"role":"user","content":"#test interval=3ms tokens=%d"}]}`, 4+(i*7+n*3)%30)
				c.answer, c.err = s.Chat(context.Background(), key, body, "X-Request-Id", c.id)
				mu.Lock()
				calls = append(calls, c)
				mu.Unlock()
				if c.err != nil {
					return
				}
			}
		})
	}
	do()
	stop()
	running.Wait()
	return calls
}

// settle compares what clients saw with what the server says of the calls
// since begin; it returns how many were answered whole. Calls may be refused
// only with the given statuses.
func settle(t *testing.T, s *e2e.Server, key string, round int, before e2e.Balance, begin time.Time, calls []call, refusals ...int) (answered int) {
	t.Helper()
	records, spent := map[string][]e2e.Usage{}, e2e.Micro(0)
	for _, u := range s.UsageSince(key, begin) {
		records[u.RequestID] = append(records[u.RequestID], u)
		spent += u.CreditsUsed
	}
	for _, c := range calls {
		if c.err == nil && c.answer.Status != 0 && c.answer.Status != http.StatusOK && !slices.Contains(refusals, c.answer.Status) {
			t.Errorf("round %d: %s was refused with %d %s", round, c.id, c.answer.Status, c.answer.Body)
		}
		found := records[c.id]
		if len(found) > 1 {
			t.Errorf("round %d: %s has %d usage records", round, c.id, len(found))
		}
		if !c.answer.Done {
			continue // cut: what it cost is between nothing and its hold
		}
		answered++
		price := c.answer.Usage.Price(echoInput, echoOutput)
		if len(found) != 1 || found[0].CreditsUsed != price || found[0].Status != "success" {
			t.Errorf("round %d: %s was answered for %d µcr and is recorded as %+v", round, c.id, price, found)
		}
	}
	if now := s.Balance(key); now.Held != 0 || now.Remaining != before.Remaining-spent {
		t.Errorf("round %d: the balance went from %d to %d (held %d) and the records say %d", round, before.Remaining, now.Remaining, now.Held, spent)
	}
	return answered
}
