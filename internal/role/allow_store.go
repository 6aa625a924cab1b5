package role

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"

	"github.com/rephlo/rephlo/internal/sqldb"
)

const selectNetworks = `SELECT id, role_id, cidr, note, created_by, created_at FROM role_network `

func scanNetwork(row interface{ Scan(...any) error }) (n Network, err error) {
	var cidr string
	var at sqldb.Time
	if err := row.Scan(&n.ID, &n.RoleID, &cidr, &n.Note, &n.By, &at); err != nil {
		return n, err
	}
	n.At = at.Time
	n.Prefix, err = netip.ParsePrefix(cidr)
	return n, err
}

// networks returns the entries of all lists. There are few: people write them.
func (s store) networks(ctx context.Context) ([]Network, error) {
	rows, err := s.db.Q(ctx).QueryContext(ctx, selectNetworks+`ORDER BY role_id, id`)
	if err != nil {
		return nil, fmt.Errorf("read allowed networks: %w", err)
	}
	defer rows.Close()
	var out []Network
	for rows.Next() {
		n, err := scanNetwork(rows)
		if err != nil {
			return nil, fmt.Errorf("read allowed networks: %w", err)
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

func (s store) network(ctx context.Context, networkID string) (Network, error) {
	n, err := scanNetwork(s.db.Q(ctx).QueryRowContext(ctx, selectNetworks+`WHERE id = $1`, networkID))
	if errors.Is(err, sql.ErrNoRows) {
		return n, ErrUnknown
	}
	if err != nil {
		return n, fmt.Errorf("read an allowed network: %w", err)
	}
	return n, nil
}

// allow adds n, unless the role has the network.
func (s store) allow(ctx context.Context, n Network) (bool, error) {
	const q = `INSERT INTO role_network (id, role_id, cidr, note, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`
	return s.changed(ctx, "allow a network", q, n.ID, n.RoleID, n.Prefix.String(), n.Note, n.By, n.At.UnixMicro())
}

// reword changes n, unless the role has its network already.
func (s store) reword(ctx context.Context, n Network) (taken bool, err error) {
	const q = `UPDATE role_network SET cidr = $2, note = $3
		WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM role_network o WHERE o.role_id = $4 AND o.cidr = $2 AND o.id <> $1)`
	done, err := s.changed(ctx, "change an allowed network", q, n.ID, n.Prefix.String(), n.Note, n.RoleID)
	return !done, err
}

func (s store) disallow(ctx context.Context, networkID string) error {
	return s.exec(ctx, "remove an allowed network", `DELETE FROM role_network WHERE id = $1`, networkID)
}
