package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// large are the tables that grow with people and with time.
var large = []string{
	"account_user", "account_state", "account_token", "apikey_key", "approval_request", "audit_log", "branding_diagnostic", "branding_feedback", "capture_call",
	"credit_batch", "credit_grant", "credit_transfer", "credit_uncollected", "grant_consent", "grant_family", "grant_code", "idempotency_key", "impersonation",
	"job_task", "role_assignment", "sso_session", "sso_device", "subscription_allocation", "subscription_event", "subscription_plan", "subscription_proration", "trail_event",
	"usage_record", "usage_summary", "webhook_attempt", "webhook_delivery", "webhook_endpoint", "webhook_event",
}

// scan is a large table that a statement reads from end to end, or from one end
// until it has enough.
type scan struct {
	table string
	text  string // the statement
	plan  string
}

// planner explains statements.
type planner struct {
	db     *sql.DB
	engine sqldb.Engine
	forced bool // PostgreSQL: as if reading a whole table were forbidden, which is how a small database shows what a large one does
}

// scans returns which large tables a statement reads whole, and its plan.
func (p planner) scans(ctx context.Context, text string, named []driver.NamedValue) (found []scan, plan string, err error) {
	head, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	if head = strings.ToUpper(strings.TrimSpace(head)); head != "SELECT" && head != "WITH" {
		return nil, "", nil
	}
	args := make([]any, len(named))
	for i, a := range named {
		args[i] = a.Value
	}
	var tables []string
	if p.engine == sqldb.SQLite {
		tables, plan, err = p.sqlite(ctx, text, args)
	} else {
		tables, plan, err = p.postgres(ctx, text, args)
	}
	if err != nil {
		return nil, "", fmt.Errorf("explain %s: %w", text, err)
	}
	for _, t := range tables {
		if slices.Contains(large, t) {
			found = append(found, scan{t, text, plan})
		}
	}
	return found, plan, nil
}

// conditions are those of a statement, not of a subquery in its columns.
var conditions = regexp.MustCompile(`(?s)\bFROM\b[^()]*\bWHERE\b[^()]*(\([^()]*\)[^()]*)*$`)

var alias = regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\s+([a-z_]+)(?:\s+(?:AS\s+)?([a-z]\w*))?`)

// sqlite reads a plan as https://sqlite.org/eqp.html describes it: SCAN is of
// every row, in the order of an index when it names one.
func (p planner) sqlite(ctx context.Context, text string, args []any) (tables []string, plan string, err error) {
	names := map[string]string{}
	for _, m := range alias.FindAllStringSubmatch(text, -1) {
		names[m[1]] = m[1]
		names[m[2]] = m[1]
	}
	rows, err := p.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	for rows.Next() {
		var node, parent, unused int
		var line string
		if err := rows.Scan(&node, &parent, &unused, &line); err != nil {
			return nil, "", err
		}
		plan += line + "\n"
		// The first page of a list without filters ends at its limit.
		if what, ok := strings.CutPrefix(line, "SCAN "); ok && (conditions.MatchString(text) || !strings.Contains(text, " LIMIT ")) {
			name, _, _ := strings.Cut(what, " ")
			tables = append(tables, names[name])
		}
	}
	return tables, plan, rows.Err()
}

// node is a part of a plan of PostgreSQL.
type node struct {
	Type     string `json:"Node Type"`
	Table    string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Filter   string `json:"Filter"`
	Children []node `json:"Plans"`
}

func (n node) walk(depth int, see func(depth int, n node)) {
	see(depth, n)
	for _, c := range n.Children {
		c.walk(depth+1, see)
	}
}

func (p planner) postgres(ctx context.Context, text string, args []any) (tables []string, plan string, err error) {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, "", err
	}
	defer tx.Rollback()
	if p.forced {
		if _, err := tx.ExecContext(ctx, `SET LOCAL enable_seqscan = off`); err != nil {
			return nil, "", err
		}
	}
	var body []byte
	if err := tx.QueryRowContext(ctx, "EXPLAIN (FORMAT JSON) "+text, args...).Scan(&body); err != nil {
		return nil, "", err
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(body, &plans); err != nil {
		return nil, "", err
	}
	for _, one := range plans {
		limited := one.Plan.Type == "Limit"
		one.Plan.walk(0, func(depth int, n node) {
			plan += strings.TrimRight(fmt.Sprintf("%s%s %s %s %s [%s]", strings.Repeat("  ", depth), n.Type, n.Table, n.Index, n.Cond, n.Filter), " []") + "\n"
			if n.Type == "Seq Scan" || strings.HasPrefix(n.Type, "Index ") && n.Cond == "" && !limited {
				tables = append(tables, n.Table)
			}
		})
	}
	return tables, plan, nil
}
