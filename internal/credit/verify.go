package credit

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// VerifyOptions narrow a verification. The zero value checks everything.
type VerifyOptions struct {
	// User limits the findings about grants and calls to one user. Chains and
	// sums are always checked.
	User string
	// Since believes what the signed root of this day names, and checks what is
	// newer and all that this refers to: ErrNoRoot if there is no such root.
	Since time.Time
}

// Finding is one thing that is not as it must be.
type Finding struct {
	// Check is V1 (chain), V2 (sums), V3 (grants), V4 (holds), V5 (reversals and
	// expiry) or V6 (usage records).
	Check string
	User  string // empty when it concerns no user
	Text  string
}

func (f Finding) String() string { return f.Check + " " + f.Text }

// Summary says what was read.
type Summary struct {
	Transfers, Lanes, Grants, OpenHolds, Findings int64
	Head                                          string    // of the lane that wrote last: its hash in hex
	HeadAt                                        time.Time // when it wrote; zero for an empty ledger
}

// Verify recomputes the ledger from its transfers, in one ordered pass over
// one snapshot, beside a running service. It calls found, from this goroutine,
// for everything that differs and changes nothing. An error means that it
// could not read to the end, not that something is wrong.
func (s *Service) Verify(ctx context.Context, o VerifyOptions, found func(Finding)) (Summary, error) {
	v := &verifier{
		store: s.store, records: s.records, options: o, found: found,
		capsHeld: map[capLeaseKey]int64{},
		grants:   map[int64]*grantSums{}, open: map[holdPart]heldPart{}, ends: map[holdPart]ended{},
		charges: newTally(), usage: newTally(),
	}
	v.usage.seeds = v.charges.seeds
	err := s.db.ReadTx(ctx, v.run)
	if err != nil {
		return v.summary, fmt.Errorf("verify the ledger: %w", err)
	}
	if o.User == "" && o.Since.IsZero() {
		s.meters.verified.Store(s.now().Unix())
		s.meters.findings.Store(v.summary.Findings)
	}
	return v.summary, nil
}

// verifier carries what one pass has seen. Its memory grows with the grants,
// the open holds and the reversals, not with the transfers.
type verifier struct {
	store   store
	records Records
	options VerifyOptions
	found   func(Finding)
	summary Summary

	hash     hasher
	grants   map[int64]*grantSums
	open     map[holdPart]heldPart // holds whose ending has not been seen
	capsHeld map[capLeaseKey]int64 // by the open holds
	ends     map[holdPart]ended    // endings whose hold has not been seen
	undone   []transfer            // reversals
	total    totals
	roots    map[int64][]expected // by lane
	since    *since               // nil: everything is checked
	charges  *tally               // of the transfers
	usage    *tally               // of the records
}

func (v *verifier) report(check, user, format string, args ...any) {
	if v.options.User != "" && user != "" && user != v.options.User {
		return
	}
	for i, a := range args {
		if n, ok := a.(int64); ok {
			args[i] = ordinal(n)
		}
	}
	v.summary.Findings++
	v.found(Finding{Check: check, User: user, Text: fmt.Sprintf(format, args...)})
}

func (v *verifier) run(ctx context.Context) error {
	lanes, err := v.store.lanesIssued(ctx)
	if err != nil {
		return err
	}
	if err := v.checkRoots(ctx); err != nil {
		return err
	}
	if !v.options.Since.IsZero() {
		if err := v.beginAt(ctx, v.options.Since); err != nil {
			return err
		}
	}
	var latest int64
	for _, l := range lanes {
		at, err := v.lane(ctx, l)
		if err != nil {
			return err
		}
		if at >= latest && l.head.last > 0 {
			latest, v.summary.Head, v.summary.HeadAt = at, fmt.Sprintf("%x", l.head.hash), time.UnixMicro(at).UTC()
		}
	}
	v.summary.Lanes = int64(len(lanes))
	if err := v.checkStrays(ctx, lanes); err != nil {
		return err
	}
	if err := v.complete(ctx); err != nil {
		return err
	}
	v.checkEnds()
	for _, check := range []func(context.Context) error{v.checkGrants, v.checkHolds, v.checkCaps, v.checkReversals, v.checkUsage} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkStrays looks for transfers of lanes that do not exist (V1).
func (v *verifier) checkStrays(ctx context.Context, lanes []laneIssued) error {
	known := map[int64]bool{}
	for _, l := range lanes {
		known[l.lane] = true
	}
	used, err := v.store.lanesUsed(ctx)
	if err != nil {
		return err
	}
	for _, lane := range used {
		if !known[lane] {
			v.report("V1", "", "lane %d has transfers but does not exist", lane)
		}
	}
	return nil
}

// ordinal is a number that is printed with a comma after each thousand.
type ordinal int64

// Format implements fmt.Formatter.
func (o ordinal) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, grouped(strconv.FormatInt(int64(o), 10)))
}

// grouped puts a comma after each thousand of a number.
func grouped(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// micro prints an amount with all its places, so that columns of them can be
// compared: 1,470.000000.
func micro(amount int64) string {
	sign, n := "", uint64(amount) //nolint:gosec // negated below
	if amount < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%s.%06d", sign, grouped(strconv.FormatUint(n/1_000_000, 10)), n%1_000_000)
}
