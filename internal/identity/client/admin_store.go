package client

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// one reads a client for a change: others who change it wait until the
// transaction ends. It returns ErrUnknown.
func (s store) one(ctx context.Context, id string) (Client, error) {
	if _, err := s.changed(ctx, "lock", id, `UPDATE client_client SET updated_at = updated_at WHERE id = $1`, id); err != nil {
		return Client{}, err
	}
	c, err := scan(s.db.Q(ctx).QueryRowContext(ctx, `SELECT `+columns+` FROM client_client WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Client{}, ErrUnknown
	}
	return c, err
}

// write stores the settings, the secrets and the edited fields of c.
func (s store) write(ctx context.Context, c Client, now time.Time) error {
	settings, secrets, err := encode(c)
	if err != nil {
		return err
	}
	edited, err := json.Marshal(append([]string{}, c.edited...))
	if err != nil {
		return fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	const q = `UPDATE client_client SET name = $2, settings = $3, secrets = $4, edited = $5, updated_at = $6 WHERE id = $1`
	_, err = s.changed(ctx, "change", c.ID, q, c.ID, c.Name, settings, secrets, string(edited), now.UnixMicro())
	return err
}

// seed stores c as the program knows it, but for what an administrator changed.
func (s *Service) seed(ctx context.Context, c Client) error {
	if added, err := s.store.add(ctx, c, "", s.now()); err != nil || added {
		return err
	}
	stored, err := s.store.one(ctx, c.ID)
	if err != nil {
		return err
	}
	next, err := keep(c, stored)
	if err != nil {
		return err
	}
	was, _, err := encode(stored)
	if err != nil {
		return err
	}
	if is, _, err := encode(next); err != nil || is == was && next.Name == stored.Name {
		return err
	}
	return s.store.write(ctx, next, s.now())
}

// keep returns c with the settings of stored that were edited.
func keep(c, stored Client) (Client, error) {
	c.secrets, c.edited = stored.secrets, stored.edited
	if len(c.edited) == 0 {
		return c, nil
	}
	ours, theirs := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for to, from := range map[*map[string]json.RawMessage]Client{&ours: c, &theirs: stored} {
		b, err := json.Marshal(from)
		if err != nil {
			return c, fmt.Errorf("encode client %s: %w", c.ID, err)
		}
		if err := json.Unmarshal(b, to); err != nil {
			return c, fmt.Errorf("decode client %s: %w", c.ID, err)
		}
	}
	for _, name := range c.edited {
		if name == settingName {
			c.Name = stored.Name
			continue
		}
		if v, ok := theirs[name]; ok {
			ours[name] = v
		} else {
			delete(ours, name)
		}
	}
	b, err := json.Marshal(ours)
	if err != nil {
		return c, fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	next := Client{ID: c.ID, Name: c.Name, CreatedAt: stored.CreatedAt, secrets: c.secrets, edited: c.edited, usedAt: stored.usedAt}
	if err := json.Unmarshal(b, &next); err != nil {
		return c, fmt.Errorf("decode client %s: %w", c.ID, err)
	}
	return next, nil
}
