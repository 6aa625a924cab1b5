package route_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/llm"
)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newTable() (*route.Table, *clock) {
	c := &clock{at: time.Unix(1_800_000_000, 0)}
	return route.NewTable(slog.New(slog.DiscardHandler), c.now), c
}

func candidate(name string, priority, weight int64) route.Candidate {
	return route.Candidate{ID: route.ID{Provider: name, Model: "m"}, Priority: priority, Weight: weight}
}

// use tries the best candidate and ends it with kind. It returns its name, ""
// when there was none.
func use(t *route.Table, cs []route.Candidate, affinity uint64, kind llm.Kind) string {
	i, try, _, ok := t.Choose(cs, affinity, 0)
	if !ok {
		return ""
	}
	try.End(route.Result{Kind: kind})
	return cs[i].Provider
}

func TestTheFirstPriorityIsUsedWhileItIsFit(t *testing.T) {
	t.Parallel()
	table, clock := newTable()
	cs := []route.Candidate{candidate("second", 2, 1), candidate("first", 1, 1)}
	for range 5 {
		if got := use(table, cs, 7, llm.Server); got != "first" {
			t.Fatalf("used %q, want first", got)
		}
	}
	if got := use(table, cs, 7, 0); got != "second" {
		t.Fatalf("used %q although the breaker of first is open", got)
	}
	clock.pass(5 * time.Second)
	if got := use(table, cs, 7, 0); got != "first" {
		t.Fatalf("used %q, want a trial of first", got)
	}
}

func TestABreakerClosesAfterThreeTrialsOneAtATime(t *testing.T) {
	t.Parallel()
	table, clock := newTable()
	cs := []route.Candidate{candidate("only", 1, 1)}
	for range 5 {
		use(table, cs, 1, llm.Timeout)
	}
	if got := use(table, cs, 1, 0); got != "" {
		t.Fatal("the breaker is not open after 5 faults in a row")
	}
	clock.pass(5 * time.Second)
	if got := use(table, cs, 1, llm.Connect); got != "only" {
		t.Fatal("no trial after 5 s")
	}
	clock.pass(9 * time.Second)
	if got := use(table, cs, 1, 0); got != "" {
		t.Fatal("a trial after 9 s, although the second opening lasts 10 s")
	}
	clock.pass(time.Second)
	for n := range 3 {
		_, try, _, ok := table.Choose(cs, 1, 0)
		if !ok {
			t.Fatalf("trial %d was refused", n)
		}
		if _, _, _, ok := table.Choose(cs, 1, 0); ok {
			t.Fatalf("a second call during trial %d", n)
		}
		try.End(route.Result{})
	}
	_, a, _, ok := table.Choose(cs, 1, 0)
	_, b, _, both := table.Choose(cs, 1, 0)
	if !ok || !both {
		t.Fatal("the breaker is not closed after three trials")
	}
	a.End(route.Result{})
	b.End(route.Result{})
	if s := table.Statuses(); len(s) != 1 || s[0].State != route.Active || s[0].InFlight != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestABreakerOpensWhenHalfOfTheCallsFail(t *testing.T) {
	t.Parallel()
	table, _ := newTable()
	cs := []route.Candidate{candidate("only", 1, 1)}
	for n := range 20 {
		kind := llm.Kind(0)
		if n%2 == 1 {
			kind = llm.Server
		}
		if use(table, cs, 1, kind) == "" {
			t.Fatalf("open after %d calls", n)
		}
	}
	if use(table, cs, 1, 0) != "" {
		t.Fatal("not open after 10 faults of 20 calls")
	}

	table, clock := newTable()
	for n := range 60 { // the same, but spread so that no ten seconds have 20 calls
		kind := llm.Kind(0)
		if n%2 == 1 {
			kind = llm.Server
		}
		if use(table, cs, 1, kind) == "" {
			t.Fatalf("open after %d calls", n)
		}
		clock.pass(600 * time.Millisecond)
	}
}

func TestARequestsOwnFaultDoesNotCount(t *testing.T) {
	t.Parallel()
	table, _ := newTable()
	cs := []route.Candidate{candidate("only", 1, 1)}
	for range 30 {
		if use(table, cs, 1, llm.Invalid) == "" {
			t.Fatal("invalid requests opened the breaker")
		}
	}
	for range 30 {
		_, try, _, ok := table.Choose(cs, 1, 0)
		if !ok {
			t.Fatal("clients that left opened the breaker")
		}
		try.End(route.Result{Kind: llm.Server, Void: true})
	}
}

func TestCoolingLastsAsLongAsTheVendorAsks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		kind  llm.Kind
		asked time.Duration
		want  time.Duration
	}{
		{"asked for", llm.Rate, 7 * time.Second, 7 * time.Second},
		{"at most five minutes", llm.Rate, time.Hour, 5 * time.Minute},
		{"not said", llm.Rate, 0, 15 * time.Second},
		{"quota", llm.Quota, 0, time.Hour},
		{"credential", llm.Auth, 0, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			table, clock := newTable()
			cs := []route.Candidate{candidate("only", 1, 1)}
			_, try, _, _ := table.Choose(cs, 1, 0)
			try.End(route.Result{Kind: c.kind, RetryAfter: c.asked})
			_, _, refusal, ok := table.Choose(cs, 1, 0)
			if ok || refusal.Cooling != c.want {
				t.Fatalf("chosen %v, cooling %s, want %s", ok, refusal.Cooling, c.want)
			}
			clock.pass(c.want - time.Millisecond)
			if use(table, cs, 1, 0) != "" {
				t.Error("used before its time")
			}
			clock.pass(time.Millisecond)
			if use(table, cs, 1, 0) == "" {
				t.Error("not used after its time")
			}
		})
	}
}

func TestCoolingDoublesWhenNothingIsSaidAndBeginsAgainAfterAnAnswer(t *testing.T) {
	t.Parallel()
	table, clock := newTable()
	cs := []route.Candidate{candidate("only", 1, 1)}
	for _, want := range []time.Duration{15, 30, 60, 120, 240, 300, 300} {
		want *= time.Second
		use(table, cs, 1, llm.Rate)
		if _, _, refusal, _ := table.Choose(cs, 1, 0); refusal.Cooling != want {
			t.Fatalf("cooling %s, want %s", refusal.Cooling, want)
		}
		clock.pass(want)
	}
	use(table, cs, 1, 0)
	use(table, cs, 1, llm.Rate)
	if _, _, refusal, _ := table.Choose(cs, 1, 0); refusal.Cooling != 15*time.Second {
		t.Fatalf("cooling %s after an answer, want 15s", refusal.Cooling)
	}
}

func TestACredentialThatIsRefusedThreeTimesIsSwitchedOffUntilItChanges(t *testing.T) {
	t.Parallel()
	table, clock := newTable()
	cs := []route.Candidate{candidate("only", 1, 1)}
	for range 3 {
		if use(table, cs, 1, llm.Auth) == "" {
			t.Fatal("refused too early")
		}
		clock.pass(time.Minute)
	}
	clock.pass(24 * time.Hour)
	if use(table, cs, 1, 0) != "" {
		t.Fatal("a credential that was refused three times is used again")
	}
	if s := table.Statuses(); s[0].State != route.Disabled {
		t.Errorf("status %+v", s)
	}
	cs[0].Credential++
	if use(table, cs, 1, 0) == "" {
		t.Fatal("a new credential is not used")
	}
	table.Forget(func(id route.ID) bool { return id == cs[0].ID })
	if s := table.Statuses(); len(s) != 1 || s[0].Credential != 1 {
		t.Errorf("%+v after forgetting the old one", s)
	}
}

func TestACredentialThatIsRefusedIsToldOnce(t *testing.T) {
	t.Parallel()
	table, clock := newTable()
	cs := []route.Candidate{candidate("only", 1, 1)}
	for range 3 {
		if len(table.Struck()) != 0 {
			t.Fatal("told too early")
		}
		use(table, cs, 1, llm.Auth)
		clock.pass(time.Minute)
	}
	if got := table.Struck(); len(got) != 1 || got[0] != cs[0].ID {
		t.Errorf("told %v", got)
	}
	table.Probed(cs[0].ID, 0)
	if len(table.Struck()) != 0 || len(table.Askable()) != 0 || table.Statuses()[0].Why != llm.Auth || use(table, cs, 1, 0) != "" {
		t.Errorf("afterwards: %+v", table.Statuses())
	}
}

// A model that is refused, with a key that is good for another, rests alone.
func TestACredentialThatIsTakenElsewhereIsNotStruck(t *testing.T) {
	t.Parallel()
	table, clock := newTable()
	cs := []route.Candidate{candidate("refused", 1, 1)}
	good := candidate("refused", 1, 1)
	good.Model = "another"
	use(table, []route.Candidate{good}, 1, 0) // before the first refusal: it says nothing
	for range 3 {
		use(table, cs, 1, llm.Auth)
		clock.pass(time.Minute)
	}
	if len(table.Struck()) != 1 {
		t.Fatal("an answer of before has saved the credential")
	}
	table.Spare(cs[0].ID)
	for range 3 {
		clock.pass(time.Minute)
		use(table, []route.Candidate{good}, 1, 0)
		if use(table, cs, 1, llm.Auth) == "" {
			t.Fatal("it is switched off")
		}
	}
	if got := table.Struck(); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}

func TestAProbeBringsBackWhatAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fails  []llm.Kind
		probes []llm.Kind
		used   bool // at once
		state  route.State
	}{
		"an open breaker may try":               {[]llm.Kind{llm.Server, llm.Server, llm.Server, llm.Server, llm.Server}, []llm.Kind{0}, true, route.Trial},
		"an open breaker stays open":            {[]llm.Kind{llm.Server, llm.Server, llm.Server, llm.Server, llm.Server}, []llm.Kind{llm.Timeout}, false, route.Open},
		"a credential that is taken":            {[]llm.Kind{llm.Auth}, []llm.Kind{0}, true, route.Active},
		"a credential that is still refused":    {[]llm.Kind{llm.Auth}, []llm.Kind{llm.Auth}, false, route.Cooling},
		"a credential that is refused thrice":   {[]llm.Kind{llm.Auth}, []llm.Kind{llm.Auth, llm.Auth}, false, route.Disabled},
		"a list forgives no refusal":            {[]llm.Kind{llm.Auth}, []llm.Kind{llm.Auth, 0, llm.Auth}, false, route.Disabled},
		"the vendor's limit holds":              {[]llm.Kind{llm.Rate}, []llm.Kind{0}, false, route.Cooling},
		"an exhausted quota is not asked about": {[]llm.Kind{llm.Quota}, []llm.Kind{0}, false, route.Cooling},
	} {
		table, _ := newTable()
		cs := []route.Candidate{candidate("only", 1, 1)}
		for _, k := range tt.fails {
			use(table, cs, 1, k)
		}
		limit := tt.fails[0] == llm.Rate || tt.fails[0] == llm.Quota
		if got := table.Askable(); (len(got) == 1) == limit {
			t.Errorf("%s: asked for %v", name, got)
		}
		for _, k := range tt.probes {
			table.Probed(cs[0].ID, k)
		}
		if s := table.Statuses()[0]; s.State != tt.state {
			t.Errorf("%s: %+v", name, s)
		}
		if got := use(table, cs, 1, 0); (got != "") != tt.used {
			t.Errorf("%s: used %q", name, got)
		}
	}
	table, _ := newTable()
	table.Probed(candidate("unknown", 1, 1).ID, llm.Auth) // of one that was forgotten meanwhile
}

func TestChoicesFollowTheWeightsAndAConversationStays(t *testing.T) {
	t.Parallel()
	table, _ := newTable()
	cs := []route.Candidate{candidate("a", 1, 1), candidate("b", 1, 3), candidate("c", 1, 6), candidate("later", 2, 100)}
	counts := map[string]int{}
	const n = 20_000
	for i := range n {
		affinity := route.Affinity([]byte("usr"), fmt.Append(nil, "conversation ", i))
		first := use(table, cs, affinity, 0)
		if again := use(table, cs, affinity, 0); again != first {
			t.Fatalf("conversation %d met %s, then %s", i, first, again)
		}
		counts[first]++
	}
	for name, share := range map[string]float64{"a": 0.1, "b": 0.3, "c": 0.6, "later": 0} {
		if got := float64(counts[name]) / n; got < share-0.02 || got > share+0.02 {
			t.Errorf("%s has %.3f of the calls, want %.1f", name, got, share)
		}
	}
}

func TestADeploymentAboveItsShareIsPassedOver(t *testing.T) {
	t.Parallel()
	table, _ := newTable()
	cs := []route.Candidate{candidate("a", 1, 1), candidate("b", 1, 1)}
	counts := map[string]int{}
	var tries []route.Try
	for range 100 { // one conversation, all calls at once
		i, try, _, ok := table.Choose(cs, 42, 0)
		if !ok {
			t.Fatal("no deployment")
		}
		counts[cs[i].Provider]++
		tries = append(tries, try)
	}
	for name, n := range counts {
		if n > 75 {
			t.Errorf("%s has %d of 100 calls in flight, want at most 75", name, n)
		}
	}
	if len(counts) != 2 {
		t.Errorf("calls went to %v", counts)
	}
	for _, try := range tries {
		try.End(route.Result{})
	}
}

func TestACandidateIsTriedOnce(t *testing.T) {
	t.Parallel()
	table, _ := newTable()
	cs := []route.Candidate{candidate("a", 1, 1), candidate("b", 1, 1), candidate("c", 2, 1)}
	var tried route.Tried
	seen := map[int]bool{}
	for range 3 {
		i, try, _, ok := table.Choose(cs, 5, tried)
		if !ok || seen[i] {
			t.Fatalf("chose %d again", i)
		}
		seen[i] = true
		tried |= 1 << i
		try.End(route.Result{})
	}
	if _, _, refusal, ok := table.Choose(cs, 5, tried); ok || refusal.Cooling != 0 {
		t.Error("a fourth choice of three")
	}
}

func TestRetriesAreAFifthOfTheCalls(t *testing.T) {
	t.Parallel()
	table, _ := newTable()
	allowed := func() (n int) {
		for table.Retry() {
			n++
		}
		for range n {
			table.DoneRetry()
		}
		return n
	}
	if n := allowed(); n != 3 {
		t.Errorf("%d retries without calls, want 3", n)
	}
	for range 100 {
		table.Enter()
	}
	if n := allowed(); n != 20 {
		t.Errorf("%d retries beside 100 calls, want 20", n)
	}
	for range 100 {
		table.Leave()
	}
	if n := allowed(); n != 3 {
		t.Errorf("%d retries after all calls have left, want 3", n)
	}
}

func TestParallelChoicesKeepCount(t *testing.T) {
	t.Parallel()
	table, _ := newTable()
	cs := []route.Candidate{candidate("a", 1, 1), candidate("b", 1, 2), candidate("c", 2, 1)}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			kinds := []llm.Kind{0, 0, 0, llm.Server, llm.Rate, llm.Invalid}
			for n := range 500 {
				_, try, _, ok := table.Choose(cs, uint64(n), 0)
				if ok {
					try.End(route.Result{Kind: kinds[(n+g)%len(kinds)]})
				}
			}
		})
	}
	wg.Wait()
	for _, s := range table.Statuses() {
		if s.InFlight != 0 {
			t.Errorf("%s has %d calls in flight", s.Provider, s.InFlight)
		}
	}
}

func BenchmarkChooseOne(b *testing.B) {
	table, _ := newTable()
	cs := []route.Candidate{candidate("a", 1, 1)}
	b.ReportAllocs()
	for b.Loop() {
		_, try, _, _ := table.Choose(cs, 1, 0)
		try.End(route.Result{})
	}
}
