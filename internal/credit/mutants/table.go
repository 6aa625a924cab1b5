package main

// mutant is one way in which the ledger could be wrong.
type mutant struct {
	what      string // what is wrong with it, for people
	file      string // from the root of the module
	old, with string // old occurs once in the file
	pkg, test string // the test that must fail, with a subtest where one engine will do
}

const (
	ledger     = "internal/credit"
	gate       = "internal/gateway"
	schema     = "internal/sqldb/migrations/00002_credit.sql"
	guardsOfDB = "internal/sqldb/migrations/00003_credit_guard.sqlite.sql"
	transfers  = "internal/sqldb/migrations/00043_plain_checks.sqlite.sql" // which made the table anew
	refusals   = "TestWrongStatesAreRefusedByTheDatabase/sqlite"
)

// mutants are the guards of the ledger, each broken in turn. The schema comes
// first, then what happens to one call, then several processes, then the rest.
var mutants = []mutant{
	{"CHECK dropped: leases above the credits of a grant", schema, "    CHECK (debited + leased <= credited),\n", "", ledger, refusals},
	{"CHECK dropped: negative debit", schema, "debited  BIGINT NOT NULL DEFAULT 0 CHECK (debited >= 0)", "debited  BIGINT NOT NULL DEFAULT 0", ledger, refusals},
	{"CHECK dropped: holds above the lease", schema, "PRIMARY KEY (lane, grant_id), CHECK (held + spent <= amount)", "PRIMARY KEY (lane, grant_id)", ledger, refusals},
	{"CHECK dropped: progress above the hold", schema, "    CHECK (progress BETWEEN 0 AND amount)\n", "    CHECK (TRUE)\n", ledger, refusals},
	{"CHECK dropped: a transfer of nothing", transfers, "grant_id BIGINT NOT NULL, amount BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000000)", "grant_id BIGINT NOT NULL, amount BIGINT NOT NULL", ledger, refusals},
	{"CHECK dropped: a transfer of an unknown kind", transfers, "CHECK (kind = 'hold' OR", "CHECK (TRUE OR kind = 'hold' OR", ledger, refusals},
	{"CHECK dropped: an ending at a hold's place", transfers, ", CHECK (kind NOT IN ('charge', 'release') OR part % 2 = 1)", "", ledger, refusals},
	{"UNIQUE (ref, part) dropped: a call held or ended twice", transfers, "PRIMARY KEY (lane, seq), UNIQUE (ref, part)", "PRIMARY KEY (lane, seq)", ledger, refusals},
	{"UNIQUE (ref) dropped: a grant that happens twice", schema, "ref TEXT NOT NULL UNIQUE,                  -- ref: what", "ref TEXT NOT NULL,                  -- ref: what", ledger, "TestAGrantHappensOnce/sqlite"},
	{"trigger dropped: history that is changed", transfers, "BEFORE UPDATE ON credit_transfer BEGIN", "BEFORE UPDATE ON credit_transfer WHEN FALSE BEGIN", ledger, refusals},
	{"trigger dropped: history that is deleted", transfers, "BEFORE DELETE ON credit_transfer BEGIN", "BEFORE DELETE ON credit_transfer WHEN FALSE BEGIN", ledger, refusals},
	{"trigger dropped: a batch that is changed", guardsOfDB, "BEFORE UPDATE ON credit_batch BEGIN", "BEFORE UPDATE ON credit_batch WHEN FALSE BEGIN", ledger, refusals},

	{"read, then write: a lease is cut without looking again", ledger + "/lease_store.go", "WHERE id = v.grant_id AND frozen = 0 AND expires_at > $1 AND debited + leased + v.cut <= credited RETURNING id`", "WHERE id = v.grant_id AND $1 > 0 RETURNING id`", ledger, "TestWhatIsTakenIsStillThere/sqlite"},
	{"admission does not look at what is free", ledger + "/reserve.go", "if !p.cut || free < need || ", "if !p.cut || ", ledger, "TestACallIsPaidExactly/sqlite"},
	{"admission does not take what it promises", ledger + "/purse.go", "		l.free -= n\n", "", ledger, "TestExactlyAsManyCallsAsThereAreCreditsFor/sqlite"},
	{"caps are not looked at", ledger + "/reserve.go", "|| !p.fits(c.Caps, need) {", "{", ledger, "TestACallFitsIntoAllItsCapsOrTakesNothing/sqlite"},
	{"what a call is charged does not count against its caps", ledger + "/purse.go", "h.moveCaps(-h.amount, h.charged())", "h.moveCaps(-h.amount, 0)", ledger, "TestCapsCountWhatIsCharged/sqlite"},
	{"grants are used in another order than the burn order", ledger + "/lease_store.go", "ORDER BY g.user_id, g.expires_at, g.priority, g.granted_at, g.id`", "ORDER BY g.user_id, g.id`", ledger, "TestGrantsAreUsedInBurnOrder/sqlite"},
	{"settled twice", ledger + "/hold.go", "	if h.ending == nil {\n		return h.queueEnd(o, false)", "	if h.ending == nil || h.ending != nil {\n		return h.queueEnd(o, false)", ledger, "TestSettlingTwice/sqlite"},
	{"settled at another price without a word", ledger + "/hold.go", "if h.ending.price != int64(o.Price) {", "if false {", ledger, "TestSettlingTwice/sqlite"},
	{"the charge may be above the hold", ledger + "/hold.go", "e.charge = min(e.price, h.amount)", "e.charge = e.price", ledger, "TestACallIsPaidExactly/sqlite"},
	{"what is above the hold is not noted", ledger + "/batch.go", "	if e.over > 0 {\n", "	if e.over > 1<<62 {\n", ledger, "TestMetricsCountWhatHappened"},
	{"an ending does not return what it did not need", ledger + "/purse.go", "			l.free += t.amount - t.charged\n", "			l.free += 0\n", ledger, "TestACallIsPaidExactly/sqlite"},
	{"an ending does not take the hold off the lease", ledger + "/batch.go", "p.move(t.grant, -t.amount, t.charged)", "p.move(t.grant, 0, t.charged)", ledger, "TestACallIsPaidExactly/sqlite"},
	{"an ending leaves the open row", ledger + "/batch.go", "	if h.written {\n		p.ends", "	if false {\n		p.ends", ledger, "TestACallIsPaidExactly/sqlite"},
	{"an ending of a hold that is not open", ledger + "/rows_store.go", "return s.send(ctx, r, n, just, shared, row)", "return s.send(ctx, r, n, anyNumber, shared, row)", ledger, "TestAnEndingNeedsItsOpenRow/sqlite"},
	{"a hold that was refused keeps its credits", ledger + "/lane.go", "		h.purse.refund(h)\n		l.done", "		l.done", ledger, "TestSettlingTwice/sqlite"},
	{"a settlement without its usage record", ledger + "/batch.go", "	if e.record != nil {\n", "	if false {\n", ledger, "TestACallIsPaidExactly/sqlite"},
	{"what a hold returns of an expired grant is spent", ledger + "/hold.go", "t.expired = t.expires <= now && t.amount > t.charged", "t.expired = false", ledger, "TestWhatExpiresIsTaken/sqlite"},
	{"a hold does not keep a place for its settlement", ledger + "/queue.go", "		q.used += 2\n", "		q.used++\n", ledger, "TestAFullQueueRefusesHoldsOnly/sqlite"},

	{"gate A is not waited for by a stream", gate + "/stream.go", "	if err := c.held(); err != nil {\n		return err\n	}\n	c.content = true", "	c.content = true", gate, "TestWithoutADurableHoldNothingGoesOut"},
	{"gate A is not waited for by an answer", gate + "/answer.go", "	if err := c.held(); err != nil {", "	if err := error(nil); err != nil {", gate, "TestWithoutADurableHoldNoAnswerGoesOut"},
	{"gate A opens before the commit", ledger + "/hold.go", "	defer func() { h.lane.meters.gateA.Seconds(monotonic() - began) }()\n	select {", "	defer func() { h.lane.meters.gateA.Seconds(monotonic() - began) }()\n	if ctx.Err() == nil {\n		return nil\n	}\n	select {", ledger, "TestGatesWaitForTheCommit/sqlite"},
	{"gate B opens before the commit", ledger + "/hold.go", "for !h.lane.async {", "for false {", ledger, "TestGatesWaitForTheCommit/sqlite"},
	{"a charge is named that is not durable", gate + "/settle.go", "		return receipt{}, err\n	}\n	return receipt{charged", "		return receipt{charged: min(price, c.need), durable: true}, nil\n	}\n	return receipt{charged", gate, "TestWithoutADurableSettlementNoChargeIsNamed"},
	{"the output of a vendor that reports only that is free", gate + "/settle.go", "out.counts.Input = c.input", "out.counts = pricing.Counts{Input: c.input}", gate, "TestEveryEndingIsChargedExactly/chat_completions/sqlite"},
	{"nobody pays for a stream that broke", gate + "/stream.go", "	case c.content:\n		_, _ = c.settle(credit.ProviderBroke, usage.Failed, c.soFar())", "	case c.content:\n		_, _ = c.settle(credit.ProviderBroke, usage.Failed, used{source: usage.None})", gate, "TestEveryEndingIsChargedExactly/chat_completions/sqlite"},
	{"somebody pays for a call that failed", gate + "/settle.go", "used{source: usage.None}) // it is", "c.countedUse(llm.Usage{}, 0)) // it is", gate, "TestEveryEndingIsChargedExactly/chat_completions/sqlite"},
	{"floor for ceil", "internal/money/money.go", "	if rest != 0 {\n		quotient++\n	}\n", "	_ = rest\n", "internal/money", "TestChargeTable"},

	{"the fence is skipped", ledger + "/store.go", "		if n != 1 {\n			return errStale\n", "		if n > 1 {\n			return errStale\n", ledger, "TestAZombieWritesNothing/sqlite"},
	{"the fence does not look at the epoch", ledger + "/store.go", "WHERE lane = $1 AND epoch = $2 AND batch = $3`", "WHERE lane = $1 AND $2 > 0 AND batch = $3`", ledger, "TestALaneThatWasTakenIsFencedAtOnce/sqlite"},
	{"a commit whose answer was lost is taken for a take-over", ledger + "/lane.go", "	if epoch == l.epoch && h.batch == p.head.batch && h.hash == p.head.hash {\n", "	if epoch == l.epoch && h.batch < 0 {\n", ledger, "TestALostCommitAnswerIsResolved/sqlite"},
	{"a take-over is taken for a commit whose answer was lost", ledger + "/lane.go", "	if epoch == l.epoch && h.batch == p.head.batch && h.hash == p.head.hash {\n", "	if epoch >= 0 && h.batch >= 0 {\n", ledger, "TestALostCommitAnswerIsResolved/sqlite"},
	{"a start does not raise the epoch", ledger + "/claim_store.go", "SET epoch = epoch + 1, beat = beat + 1, node = $3 WHERE lane = $1 AND epoch = $2`", "SET beat = beat + 1, node = $3 WHERE lane = $1 AND epoch = $2`", ledger, "TestAZombieWritesNothing/sqlite"},
	{"a start does not look whether the lane is damaged", ledger + "/claim.go", "	if h.hash != r.head.hash || h.last != r.head.last || seq != r.head.last || h.batch > r.head.batch {", "	if h.last < 0 && seq < 0 {", ledger, "TestADamagedLaneIsNotTouched/sqlite"},
	{"a start forgets the open holds", ledger + "/recover.go", "		orphans, err := s.store.orphans(ctx, l.no)\n", "		orphans, err := s.store.orphans(ctx, -1)\n", ledger, "TestACrashIsResolvedAtTheNextStart/sqlite"},
	{"a start releases what was delivered", ledger + "/recover.go", "Held: money.Credits(h.amount),\n		Charged: money.Credits(h.progress)", "Held: money.Credits(h.amount),\n		Charged: money.Credits(0 * h.progress)", ledger, "TestACrashIsResolvedAtTheNextStart/sqlite"},
	{"the spool is replayed twice", ledger + "/replay.go", "	return s.spool.clear()\n", "	return nil\n", ledger, "TestReplayHappensOnce"},
	{"forgotten holds stay", ledger + "/recover.go", "now.Sub(h.renewed) >= s.policy.Forget", "false && now.Sub(h.renewed) >= s.policy.Forget", ledger, "TestForgottenHoldsAreResolved/sqlite"},

	{"a month is added to the last boundary", ledger + "/cycle.go", "{ return calendar.Add(anchor, n) }", "{\n	if n > 1 {\n		return calendar.Add(CycleStart(anchor, n-1), 1)\n	}\n	return calendar.Add(anchor, n)\n}", ledger, "TestCyclesBeginOnTheAnchorsDay"},
	{"more is rolled over than the cap", ledger + "/roll.go", "next := min(plan.free, int64(r.Cap))", "next := plan.free", ledger, "TestACycleEnds/.*/sqlite"},
	{"read, then write: credits are taken without looking again", ledger + "/cold_store.go", "WHERE id = $1 AND debited + leased + $2 <= credited`\n	err := s.one(ctx, q, id, amount)\n	if errors.Is(err, errGuard) {\n		return ErrBusy", "WHERE id = $1`\n	err := s.one(ctx, q, id, amount)\n	if errors.Is(err, errGuard) {\n		return ErrBusy", ledger, "TestWhatIsTakenIsStillThere/sqlite"},
	{"a deduction happens twice", ledger + "/take.go", "if len(done) > 0 || missing > 0 {", "if false {", ledger, "TestTakeNeverMakesABalanceNegative/sqlite"},
	{"verify does not compare the charge with the hold", ledger + "/verify_sums.go", "	case e.amount > h.amount:\n", "	case e.amount < 0:\n", ledger, "TestVerifyFindsEveryChange/sqlite"},
	{"verify does not compare a grant's debits", ledger + "/verify_checks.go", "if out := g.debited + leased.spent; out != sums.out {", "if out := g.debited + leased.spent; out < 0 {", ledger, "TestVerifyFindsEveryChange/sqlite"},
	{"verify does not compare what leases hold", ledger + "/verify_checks.go", "if want := held[key]; l.held != want {", "if want := held[key]; l.held < 0 {", ledger, "TestVerifyFindsEveryChange/sqlite"},
	{"verify does not recompute the roots", ledger + "/verify_chain.go", "} else if root := w.leaves.root(); root != b.root {", "} else if root := w.leaves.root(); false {", ledger, "TestVerifyFindsEveryChange/sqlite"},
	{"verify does not look whether a hold has an open row", ledger + "/verify_checks.go", "	for _, ref := range slices.Sorted(maps.Keys(refs)) {\n		r := refs[ref]\n		v.report(\"V4\"", "	for _, ref := range slices.Sorted(maps.Keys(refs))[:0] {\n		r := refs[ref]\n		v.report(\"V4\"", ledger, "TestVerifyFindsEveryChange/sqlite"},
}
