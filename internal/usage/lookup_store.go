package usage

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// maxLookup bounds what one statement looks up.
const maxLookup = 256

// requestIDs returns the request ids of calls.
func (s store) requestIDs(ctx context.Context, calls []string) (map[string]string, error) {
	out := map[string]string{}
	if len(calls) == 0 {
		return out, nil
	}
	calls = calls[:min(len(calls), maxLookup)]
	args := make([]any, len(calls))
	marks := make([]string, len(calls))
	for i, c := range calls {
		args[i], marks[i] = c, "$"+strconv.Itoa(i+1)
	}
	rows, err := s.db.Q(ctx).QueryContext(ctx, `SELECT id, request_id FROM usage_record WHERE id IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("find requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var call, request string
		if err := rows.Scan(&call, &request); err != nil {
			return nil, fmt.Errorf("find requests: %w", err)
		}
		out[call] = request
	}
	return out, rows.Err()
}

// newestFew sorts by an expression: by the bare column SQLite would read all
// records of the user in that order, instead of the few that an index finds.
const newestFew = ` ORDER BY at + 0 DESC, id DESC`

// callIDs returns the user's newest calls with a request id.
func (s store) callIDs(ctx context.Context, user, requestID string) ([]string, error) {
	const q = `SELECT id FROM usage_record WHERE user_id = $1 AND request_id = $2` + newestFew + ` LIMIT $3`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, user, requestID, maxLookup-1)
	if err != nil {
		return nil, fmt.Errorf("find calls: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var call string
		if err := rows.Scan(&call); err != nil {
			return nil, fmt.Errorf("find calls: %w", err)
		}
		out = append(out, call)
	}
	return out, rows.Err()
}
